{#
    Drop a table or view that no longer fits its query, for the reason `why`. Its readers are
    dropped with it: where this run builds each of them again, or an earlier version had it, or with
    --full-refresh; else the build stops and lists them. A relation with rows that nothing
    could build again (see preserved_rows) is not dropped, unless they are `carried` over.
#}
{% macro drop_unfit_relation(existing, why, carried=false) -%}
    {%- set name = existing.schema ~ '.' ~ existing.identifier -%}
    {%- set reason = name ~ " no longer fits its query (" ~ why ~ ") and must be built again" -%}
    {%- if not carried -%}{%- do refuse_lost_rows(existing, reason) -%}{%- endif -%}
    {%- set readers = readers_of(existing) -%}
    {%- do refuse_other_readers(readers, reason) -%}
    {%- do exceptions.warn(
        reason ~ (": dropped with " ~ readers | join(', ') if readers else "")
    ) -%}
    {#- a cursor that no model moves would hold the feed for 90 days -#}
    {%- do run_query("delete from ops.change_cursors where reader = '" ~ name ~ "'") -%}
    {%- if timescale_edition() == 'tsl' and run_query(
        "select 1 from timescaledb_information.continuous_aggregates
        where view_schema = '" ~ existing.schema ~ "'
            and view_name = '" ~ existing.identifier ~ "'"
    ).rows -%} {#- a view to dbt, whose `drop view` it refuses -#}
        {%- do run_query("drop materialized view " ~ existing ~ " cascade") -%}
        {%- do adapter.cache_dropped(existing) -%}
    {%- else -%}
        {%- do adapter.drop_relation(existing) -%}
    {%- endif -%}
{%- endmacro %}

{# Refuse to drop a relation with rows that nothing could build again. #}
{% macro refuse_lost_rows(existing, reason) -%}
    {%- set outlives = (config.get('meta') or {}).get('outlives') -%}
    {%- set preserved = preserved_rows(existing) if existing.is_table or outlives -%}
    {%- if not preserved -%}{{ return(none) }}{%- endif -%}
    {%- set count, first, last = run_query(
        "select count(*), min(" ~ feed_date() ~ "), max(" ~ feed_date() ~ ") from "
        ~ existing ~ " as stored where " ~ preserved
    ).rows[0] -%}
    {%- if count and outlives -%}
        {{ exceptions.raise_compiler_error(
            reason ~ ", but " ~ count ~ " of its rows, " ~ first ~ " to " ~ last
            ~ ", come from rows of " ~ outlives ~ " that no longer exist, and would be lost. Copy "
            ~ ("them" if preserved == 'true'
                else "those with " ~ preserved | replace('stored.', ''))
            ~ " to a table of your own and delete them here first."
        ) }}
    {%- elif count -%}
        {{ exceptions.raise_compiler_error(
            reason ~ ", but " ~ count ~ " of its rows come from slots that are only"
            ~ " in the archive, and would be lost. Restore those first:"
            ~ " quotemill restore chain_intraday --since " ~ first
        ) }}
    {%- endif -%}
{%- endmacro %}
