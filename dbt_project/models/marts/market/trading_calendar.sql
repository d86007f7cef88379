{{ config(
    materialized='incremental',
    incremental_strategy='upsert',
    unique_key=['trade_date'],
) }}

with trading_days as (
    select * from {{ ref('stg_tdx__trading_day') }}
),

newest_service_day as (
    select max(trade_date) as trade_date from trading_days where source = 'service'
),

-- a prediction for a day that the service has passed means nothing any more
counted as (
    select
        d.trade_date,
        d.source
    from trading_days as d
    cross join newest_service_day as n
    where d.source = 'service' or d.trade_date > coalesce(n.trade_date, date '-infinity')
),

final as (
    select
        trade_date,
        source,
        lag(trade_date) over (order by trade_date) as previous_trade_date,
        lead(trade_date) over (order by trade_date) as next_trade_date,
        (row_number() over (order by trade_date))::integer as trade_day_number
    from counted
)

select * from final
