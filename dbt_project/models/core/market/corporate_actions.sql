{{ config(
    materialized='followed',
    unique_key=['code', 'ex_date', 'source', 'seq'],
    meta={
        'follows': {
            'int_corporate_actions__known': 'day',
            'int_corporate_actions__inherited': 'day',
            'int_market_day__as_of': 'from_day',
        },
        'by': 'ex_date',
    },
) }}

with actions as (
    select * from {{ changed(ref('int_corporate_actions__known'), by='ex_date') }}
    union all
    select * from {{ changed(ref('int_corporate_actions__inherited'), by='ex_date') }}
)

select
    a.*,
    coalesce(a.adjusts_price and a.ex_date <= d.as_of_date, false) as is_active
from actions as a
cross join {{ ref('int_market_day__as_of') }} as d
