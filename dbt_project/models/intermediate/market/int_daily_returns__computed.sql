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
        'work': 5,
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

-- the days on which coefficients or the cash of a year change
steps as (
    {{ dividend_steps('actions', 'segments') | indent }}
),

-- A code in one row: width_bucket finds the step of a day, where a join would try them all.
-- Coefficients take li. The yield in units of its last decimal is an estimate in float8 over the
-- close in li: docs/adjustment.md says where it decides.
codes as (
    select
        t.code,
        array_agg(t.valid_from order by t.valid_from) as starts,
        array_agg(coalesce(s.backward_a, 1) * 0.001 order by t.valid_from) as backward_a,
        array_agg(coalesce(s.backward_b, 0) order by t.valid_from) as backward_b,
        array_agg(t.cash_hfq order by t.valid_from) as cash_hfq,
        array_agg(
            (t.cash_hfq * 10000000000000 / coalesce(s.backward_a, 1))::float8
            order by t.valid_from
        ) as cash_units
    from steps as t
    left join segments as s
        on t.code = s.code and t.valid_from >= s.valid_from and t.valid_from < s.valid_to
    group by t.code
),

-- A bar on a day without trading sets no price. In the order of the key the windows sort each code
-- alone.
placed as (
    select
        b.code,
        b.trade_date,
        b.trade_date - date '1900-01-01' as day_number,
        b.high_li,
        b.low_li,
        b.close_li,
        b.is_final,
        width_bucket(b.trade_date, c.starts) as step,
        c.backward_a[width_bucket(b.trade_date, c.starts)] as backward_a,
        c.backward_b[width_bucket(b.trade_date, c.starts)] as backward_b,
        c.cash_hfq[width_bucket(b.trade_date, c.starts)] as cash_hfq,
        c.cash_units[width_bucket(b.trade_date, c.starts)] / nullif(b.close_li, 0) as yield_units
    from bars as b
    inner join {{ ref('trading_calendar') }} as d on b.trade_date = d.trade_date
    left join codes as c on b.code = c.code
    order by b.code, b.trade_date
    {{ computed_once() }}
),

-- Periods are of 365 days: the year that ends with a bar is the start of its period and the end of
-- the one before, so no bar is compared twice. The zero of 24 places makes PostgreSQL keep as many
-- in the quotient.
adjusted as (
    select
        code,
        trade_date,
        day_number,
        is_final,
        close_li,
        step,
        day_number / 365 as period,
        coalesce(backward_a, 0.001) * high_li + coalesce(backward_b, 0) as high_hfq,
        coalesce(backward_a, 0.001) * low_li + coalesce(backward_b, 0) as low_hfq,
        case
            when abs(yield_units - round(yield_units)) < 0.5 - abs(yield_units) * 2::float8 ^ -50
                then round(yield_units)::bigint * 0.0000000001
            else round(
                (cash_hfq + 0.000000000000000000000000)
                / nullif(coalesce(backward_a, 0.001) * close_li, 0),
                10
            )
        end as dividend_yield_1y
    from placed
    order by code, trade_date
    {{ computed_once() }}
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
        lag(close_li) over trailing_year as previous_li,
        lag(step) over trailing_year as previous_step,
        first_value(period) over trailing_year as first_period,
        first_value(high_since) over trailing_year as first_high,
        first_value(low_since) over trailing_year as first_low
    from within_periods
    window
        trailing_year as (
            partition by code order by day_number
            range between 364 preceding and current row
        )
    {{ computed_once() }}
)

-- Between bars of one step the return is that of the closes, rounded in integers; a step between
-- them may be an event.
select
    y.code,
    y.trade_date,
    coalesce(y.previous_bar_date, l.trade_date) as previous_bar_date,
    case
        when
            (y.previous_step = y.step or y.step is null)
            and y.previous_li between 1 and 268435455
            and y.close_li between 0 and 268435455
            then (
                (y.close_li - y.previous_li) * 20000000000
                + case when y.close_li < y.previous_li then -1 else 1 end * y.previous_li
            ) / (2 * y.previous_li) * 0.0000000001
        else (
            {{ return_across_steps() | indent(12) }}
        )
    end as ret_1d,
    y.dividend_yield_1y,
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
        k.close_li
    from {{ ref('stg_tdx__kline_daily') }} as k
    where
        {{ model.reads_taken is defined }}
        and y.previous_bar_date is null
        and k.code = y.code
        and k.trade_date < y.trade_date
        and {{ is_trading_day('k.trade_date') | indent(8) }}
    order by k.trade_date desc
    limit 1
) as l on true
where {{ within_taken('y') }}
