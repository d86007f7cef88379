{#
    The rows of `relation` with early_exercise, what the price is worth above that of a European
    option, and for each price of `prices` its implied volatility, iv_from_bid for bid. Columns of
    the relation are option_right, strike, spot, forward, years, is_american; r, the rate until
    expiry; x and b of the function implied_deviation as `x` (null: not solved) and price / `unit`.
#}
{% macro implied_volatilities(relation, prices) -%}
    select
        q.*,
        early.early_exercise,
        {% for price in prices -%}
        {{ inner_schema() }}.implied_deviation(
            q.x, (q.{{ price }}::double precision - early.early_exercise) / q.unit
        ) / sqrt(q.years) as iv_from_{{ price }}{{ ',' if not loop.last }}
        {% endfor -%}
    from {{ relation }} as q
    cross join lateral (
        select
            case
                when q.x is null then null
                when not q.is_american then 0
                else coalesce({{ early_exercise_value('q') | indent(20) }}, 0)
            end as early_exercise
        limit 1
    ) as early
{%- endmacro %}

{#
    The function early_exercise in dollars, for the row `q`. The volatility that it is valued by
    still has it in its price, which makes no difference beside that of the approximation.
#}
{% macro early_exercise_value(q) -%}
    {%- set carry = 'ln(' ~ q ~ '.forward / ' ~ q ~ '.spot)' -%}
    {%- set deviation = inner_schema() ~ '.implied_deviation(' ~ q ~ '.x, ' ~ q ~ '.mid / ' ~ q
        ~ '.unit)' -%}
    case {{ q }}.option_right
        when 'C'
            then {{ q }}.spot * {{ inner_schema() }}.early_exercise(
                {{ q }}.strike / {{ q }}.spot, {{ q }}.r - {{ carry }}, -{{ carry }},
                {{ deviation }}
            )
        else {{ q }}.strike * {{ inner_schema() }}.early_exercise(
            {{ q }}.spot / {{ q }}.strike, {{ q }}.r, {{ carry }}, {{ deviation }}
        )
    end
{%- endmacro %}
