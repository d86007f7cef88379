{#
    Whether this model is a continuous aggregate in this warehouse: on TimescaleDB's community
    edition, where the table that it reads (meta.continuous.of) is a hypertable. Not once rows of
    the dataset meta.continuous.unless were loaded, which no aggregate of that table can have; but
    one with bars whose minutes are gone stays, without those rows. Detected at run time; never in
    dbt's unit tests, so that one query is tested wherever they run.
#}
{% macro is_continuous() -%}
    {{ return(
        execute
        and model.resource_type == 'model'
        and timescale_edition() == 'tsl'
        and is_hypertable(config.get('meta')['continuous']['of'])
        and (not is_loaded(config.get('meta')['continuous']['unless']) or has_outlived_bars())
    ) }}
{%- endmacro %}

{# Whether rows of a dataset were ever loaded. #}
{% macro is_loaded(dataset) -%}
    {{ return(run_query(
        "select 1 from ops.ingestion_state where dataset = '" ~ dataset ~ "' limit 1"
    ).rows | length > 0) }}
{%- endmacro %}

{# Whether this model is a continuous aggregate with bars from before the oldest minute. #}
{% macro has_outlived_bars() -%}
    {%- if not run_query("
        select 1 from timescaledb_information.continuous_aggregates
        where view_schema = '" ~ this.schema ~ "' and view_name = '" ~ this.identifier ~ "'
    ").rows -%}
        {{ return(false) }}
    {%- endif -%}
    {%- set oldest = oldest_day(config.get('meta')['continuous']['of']) or 'infinity' -%}
    {{ return(run_query(
        "select 1 from " ~ this ~ "
        where bar_end < '" ~ oldest ~ "'::timestamp at time zone 'UTC' limit 1"
    ).rows | length > 0) }}
{%- endmacro %}

{# Whether a table, named with its schema, is a hypertable in this warehouse. #}
{% macro is_hypertable(table) -%}
    {%- set name = table.split('.') -%}
    {{ return(timescale_edition() != 'none' and run_query(
        "select 1 from timescaledb_information.hypertables
        where hypertable_schema = '" ~ name[0] ~ "' and hypertable_name = '" ~ name[1] ~ "'"
    ).rows | length > 0) }}
{%- endmacro %}
