{#
    Whether a new table of this model is to be distributed: the bars of minutes, which are a
    continuous aggregate on TimescaleDB. Models of days stay on the coordinator.
#}
{% macro should_distribute() -%}
    {{ return(config.get('materialized') == 'continuous_aggregate' and has_citus()) }}
{%- endmacro %}
