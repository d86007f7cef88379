{# Make the table differing on the nodes, with the columns of its target and is_gone. #}
{% macro distribute_differing(table, columns) -%}
    {%- set typed = ['is_gone boolean'] -%}
    {%- for column in columns -%}
        {%- do typed.insert(loop.index0, column.name ~ ' ' ~ column.data_type) -%}
    {%- endfor -%}
    {%- do run_query("create table " ~ table ~ " (" ~ typed | join(', ') ~ ")") -%}
    {%- do distribute_table(table) -%}
{%- endmacro %}
