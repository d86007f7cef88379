{{ config(
    materialized='followed',
    unique_key=['code', 'trade_date'],
    indexes=[{'columns': ['trade_date']}],
    meta={
        'follows': {
            'raw_tdx.kline_daily': 'from_day',
            'trading_calendar': 'from_day',
            'adjustment_segments': 'code',
            'share_capital': 'code',
            'int_listings__dated': 'code',
            'int_limits__dated': 'code',
        },
        'by': 'trade_date',
    },
) }}

{%- set is_last_bar = '(d.trade_date is not null and b.trade_date_before is not distinct from'
    ~ ' d.previous_trade_date)' -%}
{%- set last_segment = 'width_bucket(last_trade_date, segment_starts)' -%}
{%- set is_within = 'high_li <= up_li and low_li >= down_li' %}

-- The bar before, among those read: of a whole history nearly always the last close, of single days
-- never.
with bars as (
    select
        {{ [
            'code', 'trade_date', 'open_li', 'high_li', 'low_li', 'close_li', 'volume_shares',
            'volume_flag', 'amount_li', 'is_final',
        ] | join(', ') }},
        lag(trade_date) over code_bars as trade_date_before,
        lag(close_li) over code_bars as close_li_before
    from {{ changed(ref('stg_tdx__kline_daily')) }}
    window code_bars as (partition by code order by trade_date)
),

segments as (
    {{ stretches_by_code(ref('adjustment_segments'), 'segment_starts', {
        'backward_a': 'backward_a', 'backward_b': 'backward_b', 'decimals': 'price_decimals',
    }) | indent(4) }}
),

capital as (
    {{ stretches_by_code(ref('share_capital'), 'capital_starts', {
        'float_shares': 'float_shares', 'total_shares': 'total_shares',
    }) | indent(4) }}
),

limits as (
    {{ stretches_by_code(ref('int_limits__dated'), 'valid_from', {
        'basis_points': '(100 * limit_percent)::integer',
        'st_basis_points': '(100 * st_limit_percent)::integer',
        'is_st': 'is_st', 'is_observed': "basis = 'observed'",
        'days_without_limit': 'days_without_limit', 'delisting_from': 'delisting_from',
        'tick': 'case price_decimals when 3 then 1 else 10 end',
    }) | indent(4) }}
),

stocks as (
    select * from {{ ref('int_listings__dated') }} where instrument_type = 'stock'
),

-- materialized, so that the planner merges codes with bars in order instead of hashing them
codes as materialized (
    select
        *,
        coalesce(s.code, c.code, i.code) as key,
        i.code is not null as is_stock
    from segments as s
    full join capital as c on s.code = c.code
    full join stocks as i on coalesce(s.code, c.code) = i.code
    left join limits as t on i.code = t.code
    left join {{ ref('trading_calendar') }} as l on i.list_date = l.trade_date
),

-- DISTINCT ON tells the planner that a code has one row: no bar is kept for a second one
codes_once as (select distinct on (key) * from codes order by key),

-- After a suspension the last bar is older; a bar on a day without trading sets no price. The
-- subqueries run for the few bars that need it alone.
placed as (
    select
        b.*,
        {% for column in ['trade_date', 'close_li'] -%}
            case
                when {{ is_last_bar }} then b.{{ column }}_before
                else (
                    select k.{{ column }} from {{ ref('stg_tdx__kline_daily') }} as k
                    where
                        k.code = b.code
                        and k.trade_date < b.trade_date
                        and {{ is_trading_day('k') | indent(24) }}
                    order by k.trade_date desc
                    limit 1
                )
            end as last_{{ column }},
        {% endfor -%}
        width_bucket(b.trade_date, c.segment_starts) as segment,
        width_bucket(b.trade_date, c.capital_starts) as capital,
        width_bucket(b.trade_date, c.valid_from) as term,
        {{ days_since_listing('d.trade_day_number', 'c.trade_day_number') | indent(8) }}
            as days_since_listing,
        d.previous_trade_date,
        c.tick[1] as tick,
        c.{{ [
            'is_stock', 'segment_starts', 'backward_a', 'backward_b', 'decimals',
            'float_shares', 'total_shares', 'valid_from', 'basis_points', 'st_basis_points',
            'is_st', 'is_observed', 'days_without_limit', 'delisting_from',
        ] | join(', c.') }}
    from bars as b
    left join {{ ref('trading_calendar') }} as d on b.trade_date = d.trade_date
    left join codes_once as c on b.code = c.key
    {{ computed_once() }}
),

-- over an ex-date the last close in the terms of the day, as the exchange publishes it
priced as (
    select
        *,
        case
            when segment_starts[segment] > last_trade_date
                then
                    (
                        1000 * round(
                            (
                                backward_a[{{ last_segment }}] * {{ in_yuan('last_close_li') }}
                                + backward_b[{{ last_segment }}] - backward_b[segment]
                            ) / backward_a[segment],
                            decimals[segment]
                        )::numeric(18, 3)
                    )::bigint
            else last_close_li
        end as previous_close_li
    from placed
    {{ computed_once() }}
),

with_rule as (
    select
        *,
        {{ no_limit_reason('p', 'p', 'previous_close_li', '[term]') | indent(8) }} as reason,
        {{ is_special_day() | indent(8) }} as is_special
    from priced as p
    {{ computed_once() }}
),

with_percent as (
    select
        *,
        case
            when reason is null
                then case when is_special then st_basis_points[term] else basis_points[term] end
        end as rule_basis_points
    from with_rule
    {{ computed_once() }}
),

with_limits as (
    select
        *,
        {{ limit_price('up', 'previous_close_li', 'rule_basis_points', 'tick') | indent(8) }}
            as up_li,
        {{ limit_price('down', 'previous_close_li', 'rule_basis_points', 'tick') | indent(8) }}
            as down_li
    from with_percent
    {{ computed_once() }}
)

-- what traded beyond its limits had none
select
    code,
    trade_date,
    close_li,
    previous_close_li,
    volume_shares,
    amount_li,
    float_shares[capital] as float_shares,
    total_shares[capital] as total_shares,
    case
        when float_shares[capital] > 0 then null
        when capital > 0 then 'no_tradable_shares'
        when float_shares is not null then 'before_first_record'
        else 'no_record'
    end as no_capital_reason,
    case when {{ is_within }} then up_li end as up_limit_li,
    case when {{ is_within }} then down_li end as down_limit_li,
    case when {{ is_within }} then rule_basis_points end as limit_basis_points,
    case
        when {{ is_within }} then case when is_special then 'special_treatment' else 'board' end
        when is_stock then coalesce(reason, 'exceeded')
    end as limit_rule,
    high_li = up_li and low_li >= down_li as touched_up,
    low_li = down_li and high_li <= up_li as touched_down,
    days_since_listing,
    is_final,
    {{ may_fail() | indent }} as may_fail
from with_limits
