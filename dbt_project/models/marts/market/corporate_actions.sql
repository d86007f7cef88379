{{ config(
    materialized='incremental',
    incremental_strategy='upsert',
    unique_key=['code', 'ex_date', 'source', 'seq'],
) }}

with actions as (
    select * from {{ ref('int_corporate_actions__chosen') }}
)

select * from actions
