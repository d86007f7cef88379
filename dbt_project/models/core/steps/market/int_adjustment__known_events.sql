{{ config(
    materialized='followed',
    unique_key=['code', 'ex_date'],
    indexes=[{'columns': ['code', 'ex_date'], 'unique': true}],
    meta={'follows': {'int_corporate_actions__known': 'day'}, 'by': 'ex_date'},
) }}

-- A table, so that the change feed names its changes. Announced events too: no bar is on their
-- newer side yet, so they change no comparison.
select
    code,
    ex_date,
    {{ daily_event() | indent }}
from {{ changed(ref('int_corporate_actions__known'), by='ex_date') }}
where adjusts_price
group by code, ex_date
