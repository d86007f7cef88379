{#
    Keep a seed's table as the same relation, readers and all: dbt's own drops it, or inserts into
    columns that an earlier file did not have. New columns are added; those that are gone stay,
    empty.
#}
{% macro postgres__reset_csv_table(model, full_refresh, old_relation, agate_table) %}
    {%- set types = model['config'].get('column_types', {}) -%}
    {%- set columns = adapter.get_columns_in_relation(old_relation) -%}
    {%- set present = columns | map(attribute='name') | list -%}
    {%- for column in agate_table.column_names if column not in present -%}
        {%- set number = agate_table.column_names.index(column) -%}
        {%- set type = types.get(column, adapter.convert_type(agate_table, number)) -%}
        {%- do run_query(
            'alter table ' ~ old_relation ~ ' add column ' ~ adapter.quote(column) ~ ' ' ~ type
        ) -%}
    {%- endfor -%}
    {%- do adapter.truncate_relation(old_relation) -%}
    {{ return('truncate table ' ~ old_relation) }}
{% endmacro %}
