{#
    Whether this model is a continuous aggregate in this warehouse: on TimescaleDB's community
    edition, where the table that it reads (meta.continuous.of) is a hypertable, and nothing of the
    dataset meta.continuous.unless was loaded, whose rows are in no such table. Detected at run time;
    never in dbt's unit tests, so that one query is tested wherever they run.
#}
{% macro is_continuous() -%}
    {{ return(
        execute
        and model.resource_type == 'model'
        and timescale_edition() == 'tsl'
        and is_hypertable(config.get('meta')['continuous']['of'])
        and not run_query(
            "select 1 from ops.ingestion_state
            where dataset = '" ~ config.get('meta')['continuous']['unless'] ~ "' limit 1"
        ).rows
    ) }}
{%- endmacro %}

{# Whether a table, named with its schema, is a hypertable in this warehouse. #}
{% macro is_hypertable(table) -%}
    {%- set name = table.split('.') -%}
    {{ return(timescale_edition() != 'none' and run_query(
        "select 1 from timescaledb_information.hypertables
        where hypertable_schema = '" ~ name[0] ~ "' and hypertable_name = '" ~ name[1] ~ "'"
    ).rows | length > 0) }}
{%- endmacro %}
