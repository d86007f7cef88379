{# Post-hook: record that this project built the relation (see refuse_foreign_relations). #}
{% macro record_managed_relation() -%}
    insert into ops.managed_relation (schema_name, relation_name)
    values ('{{ this.schema }}', '{{ this.identifier }}')
    on conflict (schema_name, relation_name) do nothing
{%- endmacro %}
