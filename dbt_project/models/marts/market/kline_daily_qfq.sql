{{ config(
    materialized='followed',
    unique_key=['code', 'trade_date'],
    indexes=[{'columns': ['trade_date']}],
    meta={
        'follows': {
            'raw_tdx.kline_daily': 'day',
            'adjustment_segments': 'code',
        },
        'by': 'trade_date',
        'hypertable': {
            'setting': 'timescale_daily',
            'time': 'trade_date',
            'chunk': '1 year',
            'segment_by': 'code',
            'order_by': 'trade_date desc',
            'compress_after': '30 days',
        },
    },
) }}

{% set prices = ['open', 'high', 'low', 'close'] -%}

with bars as (
    select * from {{ changed(ref('stg_tdx__kline_daily')) }}
),

-- A price is estimated in float8, in units of its last decimal, from landed integers. The factors
-- take li; docs/adjustment.md derives the margin.
factors as (
    select
        *,
        (backward_a * case price_decimals when 2 then 0.1 when 3 then 1 end / latest_a)::float8
            as factor,
        (
            (backward_b - latest_b) * case price_decimals when 2 then 100 when 3 then 1000 end
            / latest_a
        )::float8 as shift
    from {{ changed(ref('adjustment_segments'), by='code') }}
),

-- A code in one row: width_bucket finds the segment of a day, where a join would try them all.
-- Materialized, as workers would send all of it to the leader with each bar.
segments as materialized (
    select
        code,
        array_agg(valid_from order by valid_from) as starts,
        array_agg(backward_a order by valid_from) as backward_a,
        array_agg(backward_b order by valid_from) as backward_b,
        array_agg(factor order by valid_from) as factor,
        array_agg(shift order by valid_from) as shift,
        0.5 - max(2::float8 ^ 30 * abs(factor) + abs(shift)) * 2::float8 ^ -50 as margin,
        case min(price_decimals) when 2 then 0.01 else 0.001 end as unit,
        min(latest_a) as latest_a,
        min(latest_b) as latest_b,
        min(price_decimals) as price_decimals,
        bool_or(has_refused_action) as has_refused_action
    from factors
    group by code
),

placed as (
    select
        b.*,
        width_bucket(b.trade_date, s.starts) as segment,
        s.backward_a,
        s.backward_b,
        s.factor[width_bucket(b.trade_date, s.starts)] as factor,
        s.shift[width_bucket(b.trade_date, s.starts)] as shift,
        case
            when (b.open_li | b.high_li | b.low_li | b.close_li) between 0 and 1073741823
                then s.margin
        end as margin,
        s.unit,
        s.latest_a,
        s.latest_b,
        s.price_decimals,
        s.has_refused_action
    from bars as b
    left join segments as s on b.code = s.code and b.trade_date >= s.starts[1]
    {{ computed_once() }}
),

estimated as (
    select
        {% for price in prices -%}
            {{ price }}_li * factor + shift as {{ price }}_estimate,
        {% endfor -%}
        *
    from placed
    {{ computed_once() }}
)

-- A code missing from the service's list has no segment. A price is its estimate where that is
-- farther from half a unit than its error.
select
    b.code,
    b.trade_date,
    {% for price in prices -%}
        case
            when abs(b.{{ price }}_estimate - round(b.{{ price }}_estimate)) < b.margin
                then (round(b.{{ price }}_estimate)::bigint * b.unit)::numeric(18, 3)
            else {{
                forward_adjusted_price(in_yuan('b.' ~ price ~ '_li'), 'b', '[b.segment]')
                | indent(12)
            }}
        end as {{ price }},
    {% endfor -%}
    b.volume_shares,
    b.amount_cny,
    b.is_final,
    coalesce(b.has_refused_action, false) as has_refused_action
from estimated as b
