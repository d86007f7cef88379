{#
    The rows of `relation` with the implied volatility of each price of `prices`, iv_from_bid for
    bid, by Black's formula. Columns of the relation are years, `x` of the function
    implied_deviation (null: American or in the money, not solved) and `unit`, by which a price is
    its b.
#}
{% macro implied_volatilities(relation, prices) -%}
    select
        q.*,
        {% for price in prices -%}
        {{ inner_schema() }}.implied_deviation(
            q.x, q.{{ price }}::double precision / q.unit
        ) / sqrt(q.years) as iv_from_{{ price }}{{ ',' if not loop.last }}
        {% endfor -%}
    from {{ relation }} as q
{%- endmacro %}
