{{ config(
    materialized='incremental',
    unique_key=['code', 'ex_date', 'source', 'seq'],
    meta={'by': 'ex_date'},
) }}

select * from {{ ref('int_corporate_actions__chosen') }}
