{#
    Whether a count above zero, give or take 1 %, is `factor` times a value from `low` to `high`, or
    that value divided by `factor`: it counts in another unit (hands or shares, thousands).
#}
{% macro in_another_unit(count, low, high, factor=100) -%}
    (
        {{ count }} > 0
        and (
            {{ count }} between {{ 0.99 * factor }} * {{ low }} and {{ 1.01 * factor }} * {{ high }}
            or {{ factor }} * {{ count }} between 0.99 * {{ low }} and 1.01 * {{ high }}
        )
    )
{%- endmacro %}
