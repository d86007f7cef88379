{#
    The forward of the pair `p` (call_price, put_price, strike, spot, r, is_american) by put-call
    parity, as lateral joins: without early exercise, then twice with what the pass before says it
    is worth. pass_2 has forward, deviation, call_premium and put_premium.
#}
{% macro parity_passes() -%}
cross join lateral (
    select
        0::double precision as call_premium,
        0::double precision as put_premium,
        null::double precision as deviation,
        p.strike + (p.call_price - p.put_price) * exp(p.r) as forward
    limit 1
) as pass_0
{% for n in [1, 2] -%}
{% set before = 'pass_' ~ (n - 1) -%}
cross join lateral (
    select
        {{ inner_schema() }}.implied_deviation(
            -abs(ln({{ before }}.forward / p.strike)),
            case
                when {{ before }}.forward <= p.strike
                    then p.call_price - {{ before }}.call_premium
                else p.put_price - {{ before }}.put_premium
            end * exp(p.r) / sqrt({{ before }}.forward * p.strike)
        ) as deviation
    where {{ before }}.forward > 0
    limit 1
) as solved_{{ n }}
cross join lateral (
    select
        coalesce(p.spot * {{ inner_schema() }}.early_exercise(
            p.strike / p.spot,
            p.r - ln({{ before }}.forward / p.spot),
            -ln({{ before }}.forward / p.spot),
            solved_{{ n }}.deviation
        ), 0) as call_premium,
        coalesce(p.strike * {{ inner_schema() }}.early_exercise(
            p.spot / p.strike,
            p.r,
            ln({{ before }}.forward / p.spot),
            solved_{{ n }}.deviation
        ), 0) as put_premium
    where p.is_american
    union all
    select
        0 as call_premium,
        0 as put_premium
    where not p.is_american
    limit 1
) as premium_{{ n }}
cross join lateral (
    select
        premium_{{ n }}.call_premium,
        premium_{{ n }}.put_premium,
        solved_{{ n }}.deviation,
        p.strike + (
            p.call_price - premium_{{ n }}.call_premium
            - p.put_price + premium_{{ n }}.put_premium
        ) * exp(p.r) as forward
    limit 1
) as {{ 'pass_' ~ n }}
{% endfor -%}
{%- endmacro %}
