{#
    The route of the rows of a landed table with numbers in the place of it: `route_no`, which ops.routes
    names, and `source_route`, the text, which only rows from before the numbers have. Null is what
    the table lacks.
#}
{% macro route_columns(table) -%}
    {%- set there = adapter.get_columns_in_relation(table) | map(attribute='name') | list -%}
    {%- set has_text = execute and 'source_route' in there -%}
    {%- if has_text and 'route_no' not in there %}null::smallint as {% endif %}route_no,
    {% if not has_text %}null::text as {% endif %}source_route
{%- endmacro %}
