{#
    The rows of `relation` with the implied volatility of each price of `prices`, iv_from_bid for
    bid, without early exercise. Columns of the relation are option_right, strike, spot, forward,
    years, rate, is_american, ex_years, amounts; `x` of the function implied_deviation (null: in the
    money, not solved) and `unit`, by which a price is its b.
#}
{% macro implied_volatilities(relation, prices) -%}
    select
        q.*,
        {% for price in prices -%}
        case
            when q.x is null then null
            when q.is_american
                then {{ inner_schema() }}.american_deviation(
                    q.option_right, q.{{ price }}::double precision, q.forward, q.spot,
                    q.strike::double precision, q.years, q.rate, q.ex_years, q.amounts
                )
            else {{ inner_schema() }}.implied_deviation(
                q.x, q.{{ price }}::double precision / q.unit
            )
        end / sqrt(q.years) as iv_from_{{ price }}{{ ',' if not loop.last }}
        {% endfor -%}
    from {{ relation }} as q
{%- endmacro %}

{# The years until each of the ex-dates of the row `q`, whose expiry is at 16:00 in New York. #}
{% macro years_until_ex_dates(q) -%}
    array(
        select {{ q }}.years - ({{ q }}.expiry - e.ex_date + 2 / 3.0)::double precision / 365
        from unnest({{ q }}.ex_dates) as e (ex_date)
        order by e.ex_date
    )
{%- endmacro %}
