{#
    Whether a count above zero is `factor` times what it should be, within `low` and `high`, or that
    part of it, give or take a per cent: it counts in another unit (hands or shares, thousands).
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
