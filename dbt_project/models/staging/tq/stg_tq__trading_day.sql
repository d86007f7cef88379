-- a past day that was predicted and then left the calendar never was a trading day
with held as (
    select coalesce(max(trade_date), '-infinity') as newest_day
    from {{ source('raw_tq', 'trading_day') }}
    where is_final
)

select
    d.trade_date as trading_day,
    d.fetched_at
from {{ source('raw_tq', 'trading_day') }} as d
cross join held as h
where d.is_final or d.trade_date > h.newest_day
