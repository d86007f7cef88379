{#
    The first rules for a line of a seed that users edit, as branches of `case`: its header has each
    column once, and it has no cell more. `written` is the row of seed_cells as jsonb.
#}
{% macro seed_line_rules() -%}
    when written ->> 'lacking' is not null
        then array['header', 'must have each column once', written ->> 'lacking']
    when (written ->> 'has_more_cells')::boolean
        then array['line', 'must have the cells of the header; quote a comma', null]
{%- endmacro %}
