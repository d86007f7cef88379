{# Delete the rows of `differing` that are gone, each on the node of both. #}
{% macro delete_gone_on_nodes(target_relation, differing) -%}
    delete from {{ target_relation }} as d
    using {{ differing }} as g
    where
        g.is_gone
        {% for name in config.get('unique_key') -%}
        and d.{{ name }} = g.{{ name }}
        {% endfor %}
{%- endmacro %}
