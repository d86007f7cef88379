-- neither days before the first known one nor those after the newest are judged
with known as (
    select
        min(trade_date) as first_date,
        max(trade_date) as last_date
    from {{ ref('stg_tdx__trading_day') }}
)

select
    'non_trading_day' as check_name,
    'error' as severity,
    k.code as subject,
    k.trade_date,
    format(
        'a bar on a day that is not in the calendar; fix: loaders run tdx --dataset '
        'trading_calendar, or if the exchange was closed, delete the bar from '
        'raw_tdx.kline_daily, then quotemill touch kline_daily --codes %s', k.code
    ) as evidence
from {{ ref('int_bars__outside_calendar') }} as d
{{ joined_by_day(ref('stg_tdx__kline_daily')) }}
where
    left(k.code, 2) = d.exchange
    and d.trade_date > (select first_date from known)
    and d.trade_date < (select last_date from known)
    and not {{ is_trading_day('k') | indent }}
