{#
    Black's formula solved for w = volatility * sqrt(years), as lateral joins. `x` and `b` are
    columns:

        x   -|ln(forward / strike)|, never above 0
        b   price / (discount * sqrt(forward * strike)), above 0

    A call and a put as far out of the money share one formula in x: b = e^(x/2) N(x/w + w/2) -
    e^(-x/2) N(x/w - w/2). Newton's method starts at its point of inflection w = sqrt(-2x), from
    where it converges from one side; eight steps are within 0.0001.

    `limit 1` keeps PostgreSQL from writing all steps into one expression, whose length would grow
    exponentially with their number.
#}
{% macro solve_deviation(x, b, steps=8) -%}
    cross join lateral (select greatest(sqrt(-2 * {{ x }}), 0.02) as w limit 1) as step_0
    {%- for step in range(1, steps + 1) %}
    {%- set w = 'step_' ~ (step - 1) ~ '.w' %}
    {%- set d1, d2 = 'd_' ~ step ~ '.d1', 'd_' ~ step ~ '.d2' %}
    cross join lateral (
        select
            {{ x }} / {{ w }} + {{ w }} / 2 as d1,
            {{ x }} / {{ w }} - {{ w }} / 2 as d2
        limit 1
    ) as d_{{ step }}
    cross join lateral (
        select
            least(greatest(
                {{ w }} - (
                    exp({{ x }} / 2) * {{ normal_cdf(d1) }}
                    - exp(-{{ x }} / 2) * {{ normal_cdf(d2) }} - {{ b }}
                )
                / greatest(exp({{ x }} / 2) * {{ normal_pdf(d1) }}, 1e-9),
                0.001
            ), 5) as w
        limit 1
    ) as step_{{ step }}
    {%- endfor %}
{%- endmacro %}

{# The column in which `solve_deviation` leaves w. Where x or b is null it means nothing. #}
{% macro deviation_solved(steps=8) -%}
    step_{{ steps }}.w
{%- endmacro %}

{# Density of the normal distribution. PostgreSQL fails on a result too small for a double. #}
{% macro normal_pdf(z) -%}
    (0.3989422804014327 * exp(-least({{ z }} * {{ z }} / 2, 600)))
{%- endmacro %}

{#
    The normal distribution function by polynomial 26.2.17 of Abramowitz and Stegun, within 7.5e-8:
    PostgreSQL 15 has no erf. With prices of a few hundred dollars that is some thousandths of a
    cent.
#}
{% macro normal_cdf(z) -%}
    {%- set t = "(1 / (1 + 0.2316419 * abs(" ~ z ~ ")))" -%}
    (case when {{ z }} > 0 then 1 else 0 end - sign({{ z }}) * {{ normal_pdf(z) }} * {{ t }} * (
        0.319381530 + {{ t }} * (-0.356563782 + {{ t }} * (
            1.781477937 + {{ t }} * (-1.821255978 + {{ t }} * 1.330274429)
        ))
    ) + case when {{ z }} = 0 then 0.5 else 0 end)
{%- endmacro %}
