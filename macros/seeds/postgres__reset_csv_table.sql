{#
    Empty the table of a seed, whose file dbt then loads. dbt's own truncates it, which waits for
    every reader, a backup of hours too, and lets later ones wait behind it; with --full-refresh it
    drops the table and all views on it. Here only a table with other columns or types is replaced:
    the build creates its views again, and refuses if a view of somebody else reads it.
#}
{% macro postgres__reset_csv_table(model, full_refresh, old_relation, agate_table) -%}
    {%- set types, present = {}, {} -%}
    {%- for name in agate_table.column_names -%}
        {%- do types.update({name: model.config.column_types[name] | replace(' ', '')}) -%}
    {%- endfor -%}
    {%- for column in adapter.get_columns_in_relation(old_relation) -%}
        {%- do present.update({column.name: column.data_type | replace(' ', '')}) -%}
    {%- endfor -%}
    {%- if types != present -%}
        {%- do drop_unfit_relation(old_relation, 'other columns') -%}
        {{ return(create_csv_table(model, agate_table)) }}
    {%- endif -%}
    {%- set sql = 'delete from ' ~ old_relation -%}
    {% call statement('reset') -%}
        {{ sql }}
    {%- endcall %}
    {{ return(sql) }}
{%- endmacro %}
