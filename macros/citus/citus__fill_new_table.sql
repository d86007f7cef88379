{#
    Bars of minutes, which are a continuous aggregate on TimescaleDB, are distributed, with their
    key first; models of days stay on the coordinator.
#}
{% macro citus__fill_new_table(target_relation, sql) -%}
    {%- if config.get('materialized') != 'continuous_aggregate' -%}
        {{ return(default__fill_new_table(target_relation, sql)) }}
    {%- endif -%}
    {%- do create_empty_table(target_relation, sql) -%}
    {%- do add_constraints(target_relation) -%}
    {%- do distribute_table(target_relation) -%}
    {%- call statement('main') -%}
        insert into {{ target_relation }} {{ as_contracted(sql) }}
    {%- endcall -%}
    {%- do finish_new_table(target_relation) -%}
{%- endmacro %}
