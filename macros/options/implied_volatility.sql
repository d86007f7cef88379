{#
    What Black's formula says of out-of-the-money prices, solved for their volatility: CTEs, of which
    `implied` is the last.

    `priced` is a relation with the columns `key` and
        x   -|ln(forward / strike)|, never above 0
        b   price / (discount * sqrt(forward * strike)), above 0
    `implied` has `key`, x, b and w = volatility * sqrt(years). A call and a put as far out of the money are
    one formula in x: b = e^(x/2) N(x/w + w/2) - e^(-x/2) N(x/w - w/2). It is solved by Newton's method from
    its point of inflection w = sqrt(-2x), whence it converges from one side; eight steps are within 0.0001.

    `offset 0` keeps PostgreSQL from writing the steps into one expression, which would grow with the power
    of their number.
#}
{% macro implied_volatility(priced, key, steps=8) -%}
    {%- set columns = key | join(', ') ~ ', x, b' -%}
    implied_0 as (
        select
            {{ columns }},
            greatest(sqrt(-2 * x), 0.02) as w
        from {{ priced }}
        offset 0
    ),
    {% for step in range(steps) %}
    implied_{{ step }}_d as (
        select
            {{ columns }},
            w,
            x / w + w / 2 as d1,
            x / w - w / 2 as d2
        from implied_{{ step }}
        offset 0
    ),

    implied{{ '_' ~ (step + 1) if not loop.last }} as (
        select
            {{ columns }},
            least(greatest(
                w - (exp(x / 2) * {{ normal_cdf('d1') }} - exp(-x / 2) * {{ normal_cdf('d2') }} - b)
                / greatest(exp(x / 2) * {{ normal_pdf('d1') }}, 1e-9),
                0.001
            ), 5) as w
        from implied_{{ step }}_d
        offset 0
    )
    {{- ',' if not loop.last }}
    {% endfor %}
{%- endmacro %}

{# Density of the normal distribution. PostgreSQL takes a result too small for a double as an error. #}
{% macro normal_pdf(z) -%}
    (0.3989422804014327 * exp(-least({{ z }} * {{ z }} / 2, 600)))
{%- endmacro %}

{#
    The normal distribution by the polynomial 26.2.17 of Abramowitz and Stegun, within 7.5e-8: PostgreSQL 15
    has no erf. With prices of a few hundred dollars that is some thousandths of a cent.
#}
{% macro normal_cdf(z) -%}
    {%- set t = "(1 / (1 + 0.2316419 * abs(" ~ z ~ ")))" -%}
    (case when {{ z }} > 0 then 1 else 0 end - sign({{ z }}) * {{ normal_pdf(z) }} * {{ t }} * (
        0.319381530 + {{ t }} * (-0.356563782 + {{ t }} * (
            1.781477937 + {{ t }} * (-1.821255978 + {{ t }} * 1.330274429)
        ))
    ) + case when {{ z }} = 0 then 0.5 else 0 end)
{%- endmacro %}
