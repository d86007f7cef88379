{# Copy the temporary table taken to the nodes, where a model reads distributed tables. #}
{% macro distribute_taken() -%}
    {%- set table = working_table('taken', on_nodes=true) -%}
    {%- do run_query("create table " ~ table ~ " as select * from taken with no data") -%}
    {%- do distribute_table(table) -%}
    {%- do run_query("insert into " ~ table ~ " select * from taken") -%}
    {{ return(table) }}
{%- endmacro %}
