{{ config(
    materialized='followed',
    unique_key=['as_of_date'],
    meta={'by': 'as_of_date'},
) }}

-- A table, so that the change feed shows when announced actions take effect. It has a row even
-- without bars, from which the first bar makes all actions take effect.
select coalesce(as_of_date, date '0001-01-01') as as_of_date
from {{ ref('int_market_day__latest') }}
