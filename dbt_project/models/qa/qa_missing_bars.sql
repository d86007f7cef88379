with bars as (
    select * from {{ source('raw_tdx', 'kline_daily') }}
),

trading_calendar as (
    select * from {{ ref('trading_calendar') }}
),

numbered as (
    select
        b.code,
        b.trade_date,
        c.previous_trade_date,
        c.trade_day_number,
        lag(b.trade_date) over (partition by b.code order by b.trade_date) as last_bar_date,
        lag(c.trade_day_number) over (partition by b.code order by b.trade_date)
            as last_bar_number
    from bars as b
    inner join trading_calendar as c on b.trade_date = c.trade_date
),

gaps as (
    select
        n.code,
        c.next_trade_date as first_missing_date,
        n.previous_trade_date as last_missing_date,
        n.trade_day_number - n.last_bar_number - 1 as missing_days
    from numbered as n
    inner join trading_calendar as c on n.last_bar_date = c.trade_date
    where n.trade_day_number - n.last_bar_number > 1
),

final as (
    select
        'missing_bars' as check_name,
        'warning' as severity,
        code as subject,
        first_missing_date as trade_date,
        missing_days || ' trading days without a bar until ' || last_missing_date
        || ': suspended, or not loaded' as evidence
    from gaps
)

select * from final
