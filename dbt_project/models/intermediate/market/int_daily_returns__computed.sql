{{ config(
    materialized='followed',
    unique_key=['code', 'trade_date'],
    indexes=[{'columns': ['code', 'trade_date'], 'unique': true}, {'columns': ['trade_date']}],
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

steps as (
    {{ dividend_steps('actions', 'segments') | indent }}
),

codes as materialized (
    {{ steps_by_code('steps', 'segments') | indent }}
),

-- whether all exchanges trade, day by day: a subscript costs a fraction of a lookup in a hash
days_open as materialized (
    select
        min(c.trade_date) - 1 as day_before,
        array_agg(d.trade_date is not null and d.exchanges is null order by c.trade_date) as is_open
    from (
        select min(trade_date) + generate_series(0, max(trade_date) - min(trade_date)) as trade_date
        from {{ ref('trading_calendar') }}
    ) as c
    left join {{ ref('trading_calendar') }} as d on c.trade_date = d.trade_date
),

traded as (
    {{ traded_bars('bars', 'codes', 'days_open') | indent }}
),

-- in key order the windows sort each code by itself
placed as (
    select
        b.code,
        b.trade_date - date '1900-01-01' as day_number,
        b.high_li,
        b.low_li,
        b.close_li,
        b.is_final,
        width_bucket(b.trade_date, c.starts) as step,
        least(b.high_li, b.low_li) >= 0
        and greatest(b.high_li, b.low_li)
        <= coalesce(c.limit_li, {{ price_bound('units') }} - 1) as fits_integer,
        c.starts,
        c.unit,
        c.backward_a,
        c.backward_b,
        c.units_a,
        c.units_b,
        c.cash_units
    from traded as b
    left join codes as c on b.code = c.code
    order by b.code, b.trade_date
    {{ computed_once() }}
),

adjusted as (
    select
        code,
        day_number,
        close_li,
        is_final,
        step,
        unit,
        starts[step] - date '1900-01-01' as step_start,
        cash_units[step] / nullif(close_li, 0) as yield_units,
        {% for price, sign in {'high': '', 'low': '-'}.items() -%}
            {% for kind, terms, no in [('units', 'units', ''), ('exact', 'backward', 'not ')] -%}
                case
                    when {{ no }}fits_integer
                        then {{ sign }}(
                            coalesce({{ terms }}_a[step], 1) * {{ price }}_li
                            + coalesce({{ terms }}_b[step], 0)
                        )
                end as {{ price }}_{{ kind }},
            {% endfor -%}
        {% endfor -%}
        day_number / 365 * 2 * {{ price_bound('units') }} as period_units,
        case
            when not fits_integer then day_number / 365 * 2 * {{ price_bound('exact') }}
        end as period_exact
    from placed
    order by code
    {{ computed_once() }}
),

since_bars as (
    select
        *,
        {{ extremes_over('since') | indent(8) }}
    from adjusted
    window since as (
        partition by code order by day_number desc
        range between unbounded preceding and 364 following
    )
),

until_bars as (
    select
        *,
        {{ extremes_over('until') | indent(8) }},
        lag(day_number) over until as previous_day_number,
        lag(close_li) over until as previous_li
    from since_bars
    window until as (partition by code order by day_number rows unbounded preceding)
),

days as (
    select
        code,
        date '1900-01-01' + day_number as trade_date,
        date '1900-01-01' + previous_day_number as previous_bar_date,
        previous_li,
        close_li,
        step,
        previous_day_number >= step_start or step is null as is_one_step,
        yield_units,
        unit,
        {% for price in ('high', 'low') -%}
            {% for kind in ('units', 'exact') -%}
                {{ extreme_of_year(price, kind) | indent(16) }} as {{ price }}_{{ kind }},
            {% endfor -%}
        {% endfor -%}
        is_final
    from until_bars
    {{ computed_once() }}
)

select
    y.code,
    y.trade_date,
    coalesce(y.previous_bar_date, l.trade_date) as previous_bar_date,
    {{ daily_return() | indent }} as ret_1d,
    -- docs/adjustment.md says where the estimate decides
    case
        when abs(y.yield_units - round(y.yield_units)) < 0.5 - abs(y.yield_units) * 2::float8 ^ -50
            then round(y.yield_units)::bigint * 0.0000000001
        when y.yield_units is not null
            then (
                select
                    round(
                        (c.cash_hfq[y.step] * 1000 + 0.000000000000000000000000)
                        / (c.backward_a[y.step] * y.close_li),
                        10
                    )
                from codes as c
                where c.code = y.code
            )
    end as dividend_yield_1y,
    {% for price, best, sign in [('high', 'greatest', ''), ('low', 'least', '-')] -%}
        {{ best }}(
            case
                when y.unit is null then {{ sign }}y.{{ price }}_units
                else {{ sign }}y.{{ price }}_units * y.unit
            end,
            {{ sign }}y.{{ price }}_exact
        ) as {{ price }}_52w_hfq_li,
    {% endfor -%}
    y.is_final
from days as y
{% if model.reads_taken -%}
-- the bar before, where it is older than what was read
left join lateral (
    select
        k.trade_date,
        k.close_li
    from {{ ref('stg_tdx__kline_daily') }} as k
    where
        y.previous_bar_date is null
        and k.code = y.code
        and k.trade_date < y.trade_date
        and {{ is_trading_day('k') | indent(8) }}
    order by k.trade_date desc
    limit 1
) as l on true
{% else -%}
    cross join (values (null::date, null::bigint)) as l (trade_date, close_li)
{% endif -%}
where {{ within_taken('y') }}
