{{ config(materialized='view') }}

-- a bar of an unfinished month carries the newest day in it, so each day leaves one behind:
-- the newest of the month counts. no CTE: see stg_tdx__kline_daily
select distinct on (k.code, month_start)
    k.code,
    date_trunc('month', k.trade_date::timestamp)::date as month_start,
    k.trade_date,
    k.open,
    k.high,
    k.low,
    k.close,
    k.volume_shares,
    k.amount_cny,
    k.up_count,
    k.down_count,
    k.is_final and not exists (
        select from {{ ref('trading_calendar') }} as c
        where
            c.trade_date > k.trade_date
            and c.trade_date
            < date_trunc('month', k.trade_date::timestamp) + interval '1 month'
    ) as is_final,
    k.fetched_at
from {{ ref('stg_tdx__index_kline') }} as k
where k.period = 'month'
order by k.code asc, month_start asc, k.bar_end desc
