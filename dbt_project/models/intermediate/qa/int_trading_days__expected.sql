-- the data of a day are due by the exchange's clock; those of option chains when the close view is
-- no longer asked for
with clocks as (
    select
        c.calendar,
        {{ as_of() }} at time zone c.zone as local_time,
        c.due_time
    from
        (
            values
            ('market', 'Asia/Shanghai', time '16:00'),
            ('futures', 'Asia/Shanghai', time '16:00'),
            (
                'options', 'America/New_York',
                {{ clock_setting('ib_close_snapshot_until', '19:00') | indent(16) }}
            )
        ) as c (calendar, zone, due_time)
),

calendars as (
    select
        'market' as calendar,
        trade_date
    from {{ ref('trading_calendar') }}
    union all
    select
        'futures' as calendar,
        trading_day as trade_date
    from {{ ref('stg_tq__trading_day') }}
    union all
    select
        'options' as calendar,
        trade_date
    from {{ ref('stg_ib__session') }}
),

-- Past the end of a calendar every weekday counts: an expired calendar must not make everything
-- look fresh.
days_past_calendar as (
    select
        k.calendar,
        generate_series(
            coalesce(
                (
                    select max(c.trade_date) + 1 from calendars as c
                    where c.calendar = k.calendar
                )::timestamp,
                k.local_time
            ),
            k.local_time,
            interval '1 day'
        )::date as trade_date
    from clocks as k
),

expected_days as (
    select * from calendars
    union all
    select * from days_past_calendar where extract(isodow from trade_date) < 6
)

select
    e.calendar,
    e.trade_date,
    e.trade_date + c.due_time <= c.local_time as is_due
from expected_days as e
inner join clocks as c on e.calendar = c.calendar
