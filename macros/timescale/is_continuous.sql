{#
    Whether this model is a continuous aggregate in this warehouse: on TimescaleDB's community
    edition, where the table that it reads (meta.continuous.of) is a hypertable. Detected at run
    time; never in dbt's unit tests, so that one query is tested wherever they run.
#}
{% macro is_continuous() -%}
    {{ return(
        execute
        and model.resource_type == 'model'
        and timescale_edition() == 'tsl'
        and is_hypertable(config.get('meta')['continuous']['of'])
    ) }}
{%- endmacro %}
