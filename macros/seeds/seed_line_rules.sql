{#
    The first rules for a line of a seed that users edit, as branches of `case`: it is text, and has
    no cell more than its header. `written` is the row of seed_cells as jsonb.
#}
{% macro seed_line_rules() -%}
    when written::text like '%' || chr(65533) || '%'
        then array['line', 'must be UTF-8 text; save the file in this encoding', null]
    when (written ->> 'has_more_cells')::boolean
        then array['line', 'must have the cells of the header; quote a comma', null]
{%- endmacro %}
