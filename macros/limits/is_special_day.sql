{#
    Whether special treatment limits the price of a row of day bars with the columns of its code's
    int_limits__dated as arrays, at place `term`: where it is only inferred, it does not on a day
    whose bar lies beyond that limit.
#}
{% macro is_special_day() -%}
    is_st[term] and (
        is_observed[term]
        or (
            high_li <= {{ limit_price(
                'up', 'previous_close_li', 'st_basis_points[term]', 'tick'
            ) | indent(12) }}
            and low_li >= {{ limit_price(
                'down', 'previous_close_li', 'st_basis_points[term]', 'tick'
            ) | indent(12) }}
        )
    )
{%- endmacro %}
