{#
    The columns for the route of a landed row: `route_no`, which ops.routes names, and
    `source_route`, the text, which only rows from before the numbers have. Null where the table
    lacks one.
#}
{% macro route_columns(table) -%}
    {%- set there = adapter.get_columns_in_relation(table) | map(attribute='name') | list -%}
    {%- set has_text = execute and 'source_route' in there -%}
    {%- if has_text and 'route_no' not in there %}null::smallint as {% endif %}route_no,
    {% if not has_text %}null::text as {% endif %}source_route
{%- endmacro %}
