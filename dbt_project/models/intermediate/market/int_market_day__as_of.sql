{{ config(
    materialized='incremental',
    unique_key=['as_of_date'],
    indexes=[{'columns': ['as_of_date'], 'unique': true}],
    meta={'by': 'as_of_date'},
) }}

-- kept as a table, so that the change feed tells when announced actions come into force
select as_of_date
from {{ ref('int_market_day__latest') }}
where as_of_date is not null
