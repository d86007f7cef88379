with numbered_days as (
    select
        trade_date,
        row_number() over (order by trade_date) as day_number
    from {{ ref('trading_calendar') }}
    where is_served
),

numbered as (
    select
        m.*,
        d.day_number - row_number() over (partition by m.exchange order by d.day_number) as span
    from {{ ref('int_bars__missing_days') }} as m
    inner join numbered_days as d on m.trade_date = d.trade_date
)

select
    'missing_days' as check_name,
    'error' as severity,
    exchange as subject,
    min(trade_date) as trade_date,
    format(
        '%s (latest %s): %s of %s codes have bars before and after, but none for these days; '
        'fix: download them in the client, or loaders run tdx --mode init --dataset kline_daily',
        {{ say_count('trading day') }},
        max(trade_date),
        max(lacking_count),
        max(listed_count)
    ) as evidence
from numbered
group by exchange, span
