{#- A seed's table stays the same relation, readers and all (dbt's own drops it, or inserts into columns that an
    earlier file did not have): columns that are new are added; those that are gone stay, empty. -#}
{% macro postgres__reset_csv_table(model, full_refresh, old_relation, agate_table) %}
    {%- set types = model['config'].get('column_types', {}) -%}
    {%- set present = adapter.get_columns_in_relation(old_relation) | map(attribute='name') | list -%}
    {%- for column in agate_table.column_names if column not in present -%}
        {%- set type = types.get(column, adapter.convert_type(agate_table, agate_table.column_names.index(column))) -%}
        {%- do run_query('alter table ' ~ old_relation ~ ' add column ' ~ adapter.quote(column) ~ ' ' ~ type) -%}
    {%- endfor -%}
    {%- do adapter.truncate_relation(old_relation) -%}
    {{ return('truncate table ' ~ old_relation) }}
{% endmacro %}
