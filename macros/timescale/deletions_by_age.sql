{#
    The statements that drop whole days older than meta.hypertable.retain: old chunks of a
    hypertable; rows of a plain table, by the index by date. None where no day is so old, or where a
    model has yet to read the table (see models_behind); the statement itself checks that again,
    since rows may land meanwhile. The change feed does not name days that are dropped.
#}
{% macro deletions_by_age(wanted) -%}
    {%- set statements = [] -%}
    {%- for table in wanted if table.get('retain') and run_query(
        "select to_regclass('" ~ table['relation'] ~ "')"
    ).rows[0][0] -%}
        {%- set name = table['relation'] -%}
        {%- set until = first_day_retained(table['retain']) -%}
        {%- if is_distributed(name) -%}
            {{ exceptions.raise_compiler_error(
                "retain of " ~ name ~ ": days of a table that Citus distributes are not dropped by"
                ~ " age. Remove it from the YAML; old days are deleted by hand"
            ) }}
        {%- endif -%}
        {%- set has_chunks = is_hypertable(name) -%}
        {%- if has_chunks -%}
            {%- set old = "('" ~ name ~ "', older_than => '" ~ until ~ " 00:00+00'::"
                ~ time_column_type(name) ~ ")" -%}
            {%- set rows = "show_chunks" ~ old -%}
            {%- set gone = "select drop_chunks" ~ old ~ "\n where" -%}
        {%- else -%}
            {%- set rows = name ~ " where " ~ table['day'] ~ " < '" ~ until ~ " 00:00+00'" -%}
            {%- set gone = "delete from " ~ rows ~ "\n and" -%}
        {%- endif -%}
        {%- if run_query("select 1 from " ~ rows ~ " limit 1").rows and not models_behind(name) -%}
            {%- if has_chunks -%}
                {#- a chunk goes with what lands in it while the statement waits for it -#}
                {%- do statements.append("lock table " ~ name ~ " in share row exclusive mode") -%}
            {%- endif -%}
            {%- do statements.append(gone ~ " not exists (" ~ unread_models(name) ~ ")") -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(statements) }}
{%- endmacro %}

{# The oldest day that is not dropped by age, as text; none without a `retain`. #}
{% macro first_day_retained(retain) -%}
    {%- if not retain -%}{{ return(none) }}{%- endif -%}
    {{ return(run_query(
        "select (now() at time zone 'UTC' - interval '" ~ retain ~ "')::date::text"
    ).rows[0][0]) }}
{%- endmacro %}

{# The `retain` of a landed table, or none. #}
{% macro retention(table) -%}
    {%- for source in graph.sources.values() if source.schema ~ '.' ~ source.identifier == table -%}
        {{ return(((source.config.get('meta') or {}).get('hypertable') or {}).get('retain')) }}
    {%- endfor -%}
    {{ return(none) }}
{%- endmacro %}

{# The type of the column by which a hypertable is cut into chunks. #}
{% macro time_column_type(table) -%}
    {{ return(run_query(
        "select column_type::text from timescaledb_information.dimensions
        where
            dimension_number = 1
            and hypertable_schema || '.' || hypertable_name = '" ~ table ~ "'"
    ).rows[0][0]) }}
{%- endmacro %}
