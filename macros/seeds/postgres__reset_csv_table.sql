{#
    Empty the table of a seed, whose file dbt then loads. dbt's own truncates it, which waits for
    every reader, a backup of hours too, and lets later ones wait behind it; with --full-refresh it
    drops the table and all views on it. A column that the file has gained is added.
#}
{% macro postgres__reset_csv_table(model, full_refresh, old_relation, agate_table) -%}
    {%- set present = adapter.get_columns_in_relation(old_relation) -%}
    {%- set present = present | map(attribute='name') | list -%}
    {%- set types = model.config.column_types -%}
    {% call statement('reset') -%}
        {% for name in agate_table.column_names if name not in present -%}
        alter table {{ old_relation }} add column {{ name }} {{ types.get(name, 'text') }};
        {% endfor -%}
        delete from {{ old_relation }};
        select setval(pg_get_serial_sequence('{{ old_relation }}', 'line'), 2, false)
    {%- endcall %}
    {{ return('delete from ' ~ old_relation) }}
{%- endmacro %}
