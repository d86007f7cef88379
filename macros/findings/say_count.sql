{# A count and its noun, as `1 trading day` or `2 trading days`. #}
{% macro say_count(noun, count='count(*)') -%}
    {{ count }} || case {{ count }} when 1 then ' {{ noun }}' else ' {{ noun }}s' end
{%- endmacro %}
