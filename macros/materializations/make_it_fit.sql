{# A temporary view of the query, with the types of its contract, for PostgreSQL to tell about. #}
{% macro make_probe(sql) -%}
    {%- set typed = [] -%}
    {%- if config.get('contract').enforced -%}
        {%- do get_assert_columns_equivalent(sql) -%}
        {%- for column in model.columns.values() -%}
            {%- do typed.append(column.name ~ '::' ~ column.data_type) -%}
        {%- endfor -%}
    {%- endif -%}
    {%- do run_query(
        "create temporary view quotemill_probe as select " ~ (typed | join(', ') or '*')
        ~ " from (" ~ sql ~ ") as query"
    ) -%}
{%- endmacro %}

{#
    Whether the table fits the query in pg_temp.quotemill_probe, after columns that it lacks were added.

    One with other columns, types or key has to be made anew, and what reads it goes with it: by
    itself only where this run builds all of that again, else where --full-refresh asks for it; a plain
    build stops and says so.
#}
{% macro make_it_fit(existing) -%}
    {%- set oid = "'" ~ existing ~ "'::regclass" -%}
    {%- set key = config.get('unique_key') -%}
    {%- set columns = run_query("
        select
            coalesce(q.attname, t.attname) as name,
            format_type(q.atttypid, q.atttypmod) as data_type,
            t.attname is null as is_new,
            (q.atttypid, q.atttypmod) is distinct from (t.atttypid, t.atttypmod) as is_other
        from (
            select * from pg_attribute
            where attrelid = 'pg_temp.quotemill_probe'::regclass and attnum > 0
        ) as q
        full join (
            select * from pg_attribute
            where attrelid = " ~ oid ~ " and attnum > 0 and not attisdropped
        ) as t on q.attname = t.attname
    ") -%}
    {%- set wrong = [] -%}
    {%- for column in columns if column['is_other'] and not column['is_new'] -%}
        {%- do wrong.append('column ' ~ column['name']) -%}
    {%- endfor -%}
    {%- if existing.is_table and not run_query("
        select 1 from pg_index as i where i.indrelid = " ~ oid ~ " and i.indisunique and (
            select array_agg(a.attname::text order by a.attname::text) from pg_attribute as a
            where a.attrelid = i.indrelid and a.attnum = any(i.indkey)
        ) = array['" ~ key | sort | join("', '") ~ "']
    ").rows -%}
        {%- do wrong.append('key ' ~ key | join(', ')) -%}
    {%- endif -%}

    {%- if existing.is_table and not wrong -%}
        {%- for column in columns if column['is_new'] -%}
            {%- do run_query(
                "alter table " ~ existing ~ " add column " ~ column['name'] ~ " " ~ column['data_type']
            ) -%}
        {%- endfor -%}
        {{ return(true) }}
    {%- endif -%}

    {%- set built, models = [], [] -%}
    {%- for node in graph.nodes.values() -%}
        {%- do models.append(node.schema ~ '.' ~ node.alias) -%}
        {%- if node.unique_id in selected_resources -%}{%- do built.append(models[-1]) -%}{%- endif -%}
    {%- endfor -%}
    {%- for row in run_query("select schema_name || '.' || relation_name as name from ops.managed_relation")
        if row['name'] not in models -%}
        {%- do built.append(row['name']) -%} {#- of an earlier version: nobody makes it any more -#}
    {%- endfor -%}
    {%- set readers = run_query("
        with recursive readers as (
            select " ~ oid ~ "::oid as oid
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
        where c.oid <> " ~ oid ~ " and c.relnamespace <> pg_my_temp_schema()
        order by 1
    ").columns[0].values() -%}
    {%- set told = existing.schema ~ '.' ~ existing.identifier ~ " no longer fits its query ("
        ~ (wrong | join(', ') or 'it is a ' ~ existing.type) ~ ") and has to be made anew" -%}
    {%- if readers and not should_full_refresh() and readers | reject('in', built) | list -%}
        {{ exceptions.raise_compiler_error(
            told ~ ": dbt build --full-refresh --select " ~ this.identifier ~ "+ drops it, and with it "
            ~ readers | join(', ') ~ ". What of these is not a model of this project, keep first."
        ) }}
    {%- endif -%}
    {%- do exceptions.warn(told ~ (": dropped with " ~ readers | join(', ') if readers else "")) -%}
    {%- do run_query("drop view quotemill_probe") -%}
    {%- do adapter.drop_relation(existing) -%}
    {%- do make_probe(sql) -%}
    {{ return(false) }}
{%- endmacro %}
