{# Create a temporary view of the query, with the types of its contract. #}
{% macro create_probe_view(sql) -%}
    {%- if config.get('contract').enforced -%}
        {%- do get_assert_columns_equivalent(sql) -%}
    {%- endif -%}
    {%- do run_query("create temporary view quotemill_probe as " ~ as_contracted(sql)) -%}
{%- endmacro %}

{#
    Whether the table fits the query in pg_temp.quotemill_probe, after columns that it lacks were
    added. One with other columns, types or key is dropped (see drop_unfit_relation).
#}
{% macro fit_existing_table(existing) -%}
    {%- set oid = "'" ~ existing ~ "'::regclass" -%}
    {%- set key = config.get('unique_key') -%}
    {%- set columns = run_query("
        select
            coalesce(q.attname, t.attname) as name,
            format_type(q.atttypid, q.atttypmod) as data_type,
            t.attname is null as is_new,
            ((q.atttypid, q.atttypmod) is distinct from (t.atttypid, t.atttypmod)) as is_other
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
                "alter table " ~ existing ~ "
                add column " ~ column['name'] ~ " " ~ column['data_type']
            ) -%}
        {%- endfor -%}
        {{ return(true) }}
    {%- endif -%}

    {%- do run_query("drop view quotemill_probe") -%}
    {%- do drop_unfit_relation(existing, wrong | join(', ') or 'it is a ' ~ existing.type) -%}
    {%- do create_probe_view(sql) -%}
    {{ return(false) }}
{%- endmacro %}
