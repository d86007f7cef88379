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

{# Drop columns, with the views that read them: see drop_unfit_relation. #}
{% macro drop_columns(existing, names) -%}
    {%- set readers = readers_of(existing, names) -%}
    {%- do refuse_other_readers(
        readers, existing.schema ~ '.' ~ existing.identifier ~ " loses " ~ names | join(', ')
    ) -%}
    {%- for reader in readers -%}
        {%- set schema, identifier = reader.split('.') -%}
        {%- set view = adapter.get_relation(existing.database, schema, identifier) -%}
        {%- if view -%}{%- do adapter.drop_relation(view) -%}{%- endif -%}
    {%- endfor -%}
    {%- do run_query(
        "alter table " ~ existing ~ " drop column " ~ names | join(' cascade, drop column ')
        ~ " cascade"
    ) -%}
{%- endmacro %}

{# Stop, unless this run builds each of the readers again, or an earlier version had it. #}
{% macro refuse_other_readers(readers, reason) -%}
    {%- set built = run_query(
        "select schema_name || '.' || relation_name from ops.managed_relation
        where relation_name in ('" ~ removed_models() | join("', '") ~ "')"
    ).columns[0].values() | list -%}
    {%- for node in graph.nodes.values() if node.unique_id in selected_resources -%}
        {%- do built.append(node.schema ~ '.' ~ node.alias) -%}
    {%- endfor -%}
    {%- if not should_full_refresh() and readers | reject('in', built) | list -%}
        {{ exceptions.raise_compiler_error(
            reason ~ ": dbt build --full-refresh --select " ~ this.identifier
            ~ "+ drops it, and with it " ~ readers | join(', ')
            ~ ". Save first what is not a model of this project."
        ) }}
    {%- endif -%}
{%- endmacro %}

{# The views that read a relation, or some of its columns, and those that read them. #}
{% macro readers_of(existing, columns=[]) -%}
    {{ return(run_query("
        with recursive readers as (
            select '" ~ existing ~ "'::regclass::oid as oid
            union
            select w.ev_class
            from readers as r
            inner join pg_depend as d
                on r.oid = d.refobjid
                and d.refclassid = 'pg_class'::regclass
                and d.classid = 'pg_rewrite'::regclass
            inner join pg_rewrite as w on d.objid = w.oid
            where
                " ~ (not columns) ~ "
                or r.oid <> '" ~ existing ~ "'::regclass
                or d.refobjsubid in (
                    select attnum from pg_attribute
                    where
                        attrelid = '" ~ existing ~ "'::regclass
                        and attname in ('" ~ columns | join("', '") ~ "')
                )
        )
        select n.nspname || '.' || c.relname
        from readers as r
        inner join pg_class as c on r.oid = c.oid
        inner join pg_namespace as n on c.relnamespace = n.oid
        where c.oid <> '" ~ existing ~ "'::regclass and c.relnamespace <> pg_my_temp_schema()
        order by 1
    ").columns[0].values()) }}
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
            ~ ", come from rows of " ~ outlives ~ " that are gone, and would be lost. Copy "
            ~ ("them" if preserved == 'true'
                else "those with " ~ preserved | replace('stored.', ''))
            ~ " to a table of your own and delete them here first."
        ) }}
    {%- elif count -%}
        {{ exceptions.raise_compiler_error(
            reason ~ ", but " ~ count ~ " of its rows come from slots that are only"
            ~ " in the archive, and would be lost. Restore those first;"
            ~ " fix: quotemill restore chain_intraday --since " ~ first
        ) }}
    {%- endif -%}
{%- endmacro %}
