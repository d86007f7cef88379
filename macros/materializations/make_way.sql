{#
    Drop a table or view that no longer fits its query; `why` says what of it. What reads it goes with
    it: by itself only where this run builds all of that again, else where --full-refresh asks for it; a
    plain build stops and says so. One with rows that nothing would make again (see rows_kept) stays, but
    where they are `carried` over.
#}
{% macro make_way(existing, why, carried=false) -%}
    {%- set built, models, schemas = [], [], [] -%}
    {%- for node in graph.nodes.values() -%}
        {%- do schemas.append(node.schema) -%}
        {%- do models.append(node.schema ~ '.' ~ node.alias) -%}
        {%- if node.unique_id in selected_resources -%}{%- do built.append(models[-1]) -%}{%- endif -%}
    {%- endfor -%}
    {%- for row in run_query("
        select schema_name, schema_name || '.' || relation_name as name from ops.managed_relation
    ") if row['schema_name'] in schemas and row['name'] not in models -%}
        {%- do built.append(row['name']) -%} {#- of an earlier version: nobody makes it any more -#}
    {%- endfor -%}
    {%- set readers = run_query("
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
        )
        select n.nspname || '.' || c.relname
        from readers as r
        inner join pg_class as c on r.oid = c.oid
        inner join pg_namespace as n on c.relnamespace = n.oid
        where c.oid <> '" ~ existing ~ "'::regclass and c.relnamespace <> pg_my_temp_schema()
        order by 1
    ").columns[0].values() -%}
    {%- set told = existing.schema ~ '.' ~ existing.identifier ~ " no longer fits its query ("
        ~ why ~ ") and has to be made anew" -%}
    {%- set outlives = (config.get('meta') or {}).get('outlives') -%}
    {%- set keeps = rows_kept() if not carried and (existing.is_table or outlives) -%}
    {%- set kept = run_query(
        "select count(*), min(" ~ told_day() ~ "), max(" ~ told_day() ~ ") from " ~ existing ~ " as stored where " ~ keeps
    ).rows[0] if keeps else [0] -%}
    {%- if kept[0] and outlives -%}
        {{ exceptions.raise_compiler_error(
            told ~ ", but " ~ kept[0] ~ " of its rows, " ~ kept[1] ~ " to " ~ kept[2] ~ ", were made of rows of "
            ~ outlives ~ " that are gone, and would be lost. Copy "
            ~ ("them" if keeps == 'true' else "those with " ~ keeps | replace('stored.', ''))
            ~ " to a table of your own and delete them here first."
        ) }}
    {%- elif kept[0] -%}
        {{ exceptions.raise_compiler_error(
            told ~ ", but " ~ kept[0] ~ " of its rows were made of slots that are in the archive alone, and "
            ~ "would be lost. Bring those back first: quotemill restore chain_intraday --since " ~ kept[1]
        ) }}
    {%- endif -%}
    {%- if readers and not should_full_refresh() and readers | reject('in', built) | list -%}
        {{ exceptions.raise_compiler_error(
            told ~ ": dbt build --full-refresh --select " ~ this.identifier ~ "+ drops it, and with it "
            ~ readers | join(', ') ~ ". What of these is not a model of this project, keep first."
        ) }}
    {%- endif -%}
    {%- do exceptions.warn(told ~ (": dropped with " ~ readers | join(', ') if readers else "")) -%}
    {%- do adapter.drop_relation(existing) -%}
{%- endmacro %}
