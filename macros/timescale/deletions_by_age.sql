{#
    The statements that let whole days older than meta.hypertable.retain go: old chunks of a hypertable,
    rows of a plain table by the index by date. None where nothing is so old, or where a model is behind
    on the table (see behind_on), which is asked again by the statement itself: rows may land meanwhile.
    Of the days that go the change feed is told nothing.
#}
{% macro deletions_by_age(wanted) -%}
    {%- set statements = [] -%}
    {%- for table in wanted if table.get('retain') and run_query(
        "select to_regclass('" ~ table['relation'] ~ "')"
    ).rows[0][0] -%}
        {%- set name = table['relation'] -%}
        {%- set until = first_day_retained(table['retain']) -%}
        {%- set has_chunks = is_hypertable(name) -%}
        {%- if has_chunks -%}
            {%- set old = "('" ~ name ~ "', older_than => '" ~ until ~ " 00:00+00'::" ~ type_of_time(name) ~ ")" -%}
            {%- set found = "show_chunks" ~ old -%}
            {%- set gone = "select drop_chunks" ~ old ~ "\n where" -%}
        {%- else -%}
            {%- set found = name ~ " where " ~ table['day'] ~ " < '" ~ until ~ " 00:00+00'" -%}
            {%- set gone = "delete from " ~ found ~ "\n and" -%}
        {%- endif -%}
        {%- if run_query("select 1 from " ~ found ~ " limit 1").rows and not behind_on(name) -%}
            {%- if has_chunks -%}
                {#- a chunk goes with what lands in it while the statement waits for it -#}
                {%- do statements.append("lock table " ~ name ~ " in share row exclusive mode") -%}
            {%- endif -%}
            {%- do statements.append(gone ~ " not exists (" ~ unread_by(name) ~ ")") -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(statements) }}
{%- endmacro %}

{# The day, as a text, before which days are so old that they go; none without a `retain`. #}
{% macro first_day_retained(retain) -%}
    {%- if not retain -%}{{ return(none) }}{%- endif -%}
    {{ return(run_query(
        "select (now() at time zone 'UTC' - interval '" ~ retain ~ "')::date::text"
    ).rows[0][0]) }}
{%- endmacro %}

{# The `retain` of a landed table, or none. #}
{% macro retention_of(table) -%}
    {%- for source in graph.sources.values() if source.schema ~ '.' ~ source.identifier == table -%}
        {{ return(((source.config.get('meta') or {}).get('hypertable') or {}).get('retain')) }}
    {%- endfor -%}
    {{ return(none) }}
{%- endmacro %}

{# The type of the column that cuts a hypertable into chunks. #}
{% macro type_of_time(table) -%}
    {{ return(run_query(
        "select column_type::text from timescaledb_information.dimensions
        where dimension_number = 1 and hypertable_schema || '.' || hypertable_name = '" ~ table ~ "'"
    ).rows[0][0]) }}
{%- endmacro %}
