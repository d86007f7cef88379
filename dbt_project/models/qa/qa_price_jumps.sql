with bars as (
    select * from {{ ref('kline_daily') }}
),

segments as (
    select * from {{ ref('adjustment_segments') }}
),

trading_calendar as (
    select * from {{ ref('trading_calendar') }}
),

-- backward-adjusted closes compare across ex-dates
scaled as (
    select
        b.code,
        b.trade_date,
        b.open,
        coalesce(s.backward_a, 1) as a,
        coalesce(s.backward_b, 0) as b,
        coalesce(s.backward_a, 1) * b.close + coalesce(s.backward_b, 0) as hfq_close
    from bars as b
    left join segments as s
        on b.code = s.code and b.trade_date >= s.valid_from and b.trade_date < s.valid_to
),

sequenced as (
    select
        *,
        lag(trade_date) over life as last_bar_date,
        lag(hfq_close) over life as last_hfq_close,
        row_number() over life as bar_number
    from scaled
    window life as (partition by code order by trade_date)
),

compared as (
    select
        s.code,
        s.trade_date,
        s.open,
        (s.last_hfq_close - s.b) / s.a as expected_open,
        case
            when s.trade_date < date '1996-12-16' then 0.20
            when s.code like 'bj%' then 0.305
            when s.code like 'sh68%' then 0.205
            when s.code like 'sz30%' and s.trade_date >= date '2020-08-24' then 0.205
            else 0.105
        end as allowed
    from sequenced as s
    inner join trading_calendar as c on s.trade_date = c.trade_date
    -- a new listing may move freely, and so may the first bar after a suspension
    where s.bar_number > 5 and s.last_bar_date = c.previous_trade_date
),

final as (
    select
        'price_jump' as check_name,
        'warning' as severity,
        code as subject,
        trade_date,
        format(
            'open %s against %s expected from the last close (%s %%): missing action?',
            open,
            round(expected_open, 3),
            round(100 * (open / expected_open - 1), 1)
        ) as evidence
    from compared
    where expected_open > 0 and abs(open / expected_open - 1) > allowed
)

select * from final
