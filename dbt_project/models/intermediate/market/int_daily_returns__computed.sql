{{ config(
    materialized='incremental',
    unique_key=['code', 'trade_date'],
    indexes=[
        {'columns': ['code', 'trade_date'], 'unique': true},
        {'columns': ['trade_date']},
    ],
    meta={
        'follows': {
            'raw_tdx.kline_daily': 'from_day',
            'trading_calendar': 'from_day',
            'adjustment_segments': 'code',
            'corporate_actions': 'code',
        },
        'by': 'trade_date',
    },
) }}

with bars as (
    select * from {{ changed(ref('stg_tdx__kline_daily'), days_before=364) }}
),

segments as (
    select * from {{ changed(ref('adjustment_segments'), by='code') }}
),

actions as (
    select * from {{ changed(ref('corporate_actions'), by='code') }}
),

-- A code in one row: width_bucket finds the segment of a day, where a join would try them all.
segments_of_code as (
    select
        code,
        array_agg(valid_from order by valid_from) as starts,
        array_agg(backward_a order by valid_from) as backward_a,
        array_agg(backward_b order by valid_from) as backward_b
    from segments
    group by code
),

-- A bar on a day without trading sets no price. In the order of the key the windows sort each code
-- alone.
placed as (
    select
        b.*,
        b.trade_date - date '1900-01-01' as day_number,
        coalesce(s.backward_a[width_bucket(b.trade_date, s.starts)], 1) as backward_a,
        coalesce(s.backward_b[width_bucket(b.trade_date, s.starts)], 0) as backward_b
    from bars as b
    inner join {{ ref('trading_calendar') }} as d on b.trade_date = d.trade_date
    left join segments_of_code as s on b.code = s.code
    order by b.code, b.trade_date
    {{ computed_once() }}
),

-- Periods are of 365 days: the year that ends with a bar is the start of its period and the end of
-- the one before, so no bar is compared twice.
adjusted as (
    select
        code,
        trade_date,
        day_number,
        is_final,
        day_number / 365 as period,
        backward_a * close as traded_hfq,
        backward_b as received_hfq,
        backward_a * high + backward_b as high_hfq,
        backward_a * low + backward_b as low_hfq
    from placed
),

within_periods as (
    select
        *,
        max(high_hfq) over until_day as high_until,
        min(low_hfq) over until_day as low_until,
        max(high_hfq) over since_day as high_since,
        min(low_hfq) over since_day as low_since
    from adjusted
    window
        until_day as (partition by code, period order by day_number rows unbounded preceding),
        since_day as (partition by code, period order by day_number desc rows unbounded preceding)
),

days as (
    select
        *,
        lag(trade_date) over trailing_year as previous_bar_date,
        lag(traded_hfq + received_hfq) over trailing_year as previous_hfq,
        first_value(period) over trailing_year as first_period,
        first_value(high_since) over trailing_year as first_high,
        first_value(low_since) over trailing_year as first_low
    from within_periods
    window
        trailing_year as (
            partition by code order by day_number
            range between 364 preceding and current row
        )
),

-- Cash per share before tax for one share at the start of the history: it counts from its ex-date,
-- and for 365 days. Without an action on record a code has no row.
payments as (
    select
        a.code,
        a.ex_date,
        a.cash_per10_yuan * 0.1 * s.backward_a as cash_hfq
    from actions as a
    inner join segments as s on a.code = s.code and a.ex_date = s.valid_to
    where a.is_active and a.category = 1 and not a.is_inferred
),

paid as (
    select
        code,
        array_agg(valid_from order by valid_from) as starts,
        array_agg(cash_hfq order by valid_from) as cash_hfq
    from (
        select
            code,
            valid_from,
            sum(sum(cash_hfq)) over (partition by code order by valid_from) as cash_hfq
        from (
            select distinct
                code,
                date '1900-01-01' as valid_from,
                0::numeric as cash_hfq
            from actions
            union all
            select
                code,
                ex_date as valid_from,
                cash_hfq
            from payments
            union all
            select
                code,
                ex_date + 365 as valid_from,
                -cash_hfq as cash_hfq
            from payments
        ) as steps
        group by code, valid_from
    ) as sums
    group by code
)

-- the zero of 24 places makes PostgreSQL keep as many in the quotient
select
    y.code,
    y.trade_date,
    coalesce(y.previous_bar_date, l.trade_date) as previous_bar_date,
    case
        when coalesce(y.previous_hfq, l.close_hfq) > y.received_hfq
            then
                round(
                    (y.traded_hfq + 0.000000000000000000000000)
                    / (coalesce(y.previous_hfq, l.close_hfq) - y.received_hfq) - 1,
                    10
                )
    end as ret_1d,
    round(
        (p.cash_hfq[width_bucket(y.trade_date, p.starts)] + 0.000000000000000000000000)
        / nullif(y.traded_hfq, 0),
        10
    ) as dividend_yield_1y,
    trim_scale(
        case
            when y.first_period = y.period then y.high_until
            else greatest(y.high_until, y.first_high)
        end
    ) as high_52w_hfq,
    trim_scale(
        case
            when y.first_period = y.period then y.low_until
            else least(y.low_until, y.first_low)
        end
    ) as low_52w_hfq,
    y.is_final
from days as y
-- the bar before, where it is older than what was read
left join lateral (
    select
        k.trade_date,
        coalesce(s.backward_a[width_bucket(k.trade_date, s.starts)], 1) * k.close
        + coalesce(s.backward_b[width_bucket(k.trade_date, s.starts)], 0) as close_hfq
    from {{ ref('stg_tdx__kline_daily') }} as k
    left join segments_of_code as s on k.code = s.code
    where
        y.previous_bar_date is null
        and k.code = y.code
        and k.trade_date < y.trade_date
        and {{ is_trading_day('k.trade_date') | indent(8) }}
    order by k.trade_date desc
    limit 1
) as l on true
left join paid as p on y.code = p.code
where {{ within_taken('y') }}
