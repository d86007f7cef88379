{{ config(
    materialized='incremental',
    unique_key=['as_of_date'],
    indexes=[{'columns': ['as_of_date'], 'unique': true}],
    meta={'by': 'as_of_date'},
) }}

-- kept as a table, so that the change feed tells when announced actions come into force. with a day
-- also where there is no bar: from it on all do so when the first one comes
select coalesce(as_of_date, date '0001-01-01') as as_of_date
from {{ ref('int_market_day__latest') }}
