{# The shares per unit of the volume of a landed bar; null, from before the column, is a hand. #}
{% macro volume_unit() -%}
    coalesce(volume_unit, 100)
{%- endmacro %}
