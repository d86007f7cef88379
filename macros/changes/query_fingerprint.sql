{#
    A hash of what decides the result of the query, besides the rows: the view
    pg_temp.quotemill_probe that holds it, the views that it reads down to the tables, and the
    functions in them, as PostgreSQL prints them; and the values in ops.settings of the keys that
    these views name. So a comment changes nothing, and a macro changes
    every query that it is part of. The cluster counts too: a snapshot means nothing in another one.
#}
{% macro query_fingerprint(reads) -%}
    {{ return(run_query("
        with recursive used as not materialized (
            select
                w.ev_class as oid,
                d.refclassid,
                d.refobjid
            from pg_rewrite as w
            inner join pg_depend as d on w.oid = d.objid and d.classid = 'pg_rewrite'::regclass
        ),
        views as (
            select 'pg_temp.quotemill_probe'::regclass::oid as oid
            union
            select c.oid
            from views as v
            inner join used as u on v.oid = u.oid and u.refclassid = 'pg_class'::regclass
            inner join pg_class as c on u.refobjid = c.oid and c.relkind in ('v', 'm')
        ),
        texts as materialized (
            select
                oid::regclass::text as name,
                pg_get_viewdef(oid) as query
            from views
        ),
        functions as (
            select distinct f.oid, f.prosrc
            from views as v
            inner join used as u on v.oid = u.oid and u.refclassid = 'pg_proc'::regclass
            inner join pg_proc as o on u.refobjid = o.oid
            -- one of ours may call another
            inner join pg_proc as f
                on
                    o.oid = f.oid
                    or (
                        o.pronamespace = to_regnamespace('" ~ inner_schema() ~ "')
                        and o.pronamespace = f.pronamespace
                    )
        )
        select md5(concat_ws(
            ' ',
            '" ~ (reads | string | replace("'", "")) ~ "',
            (select system_identifier from pg_control_system()),
            (select string_agg(query, ' ' order by name) from texts),
            (
                select string_agg(concat(s.key, '=', s.value), ' ' order by s.key)
                from ops.settings as s
                where exists (select 1 from texts where strpos(query, quote_literal(s.key)) > 0)
            ),
            (
                select string_agg(
                    concat_ws(' ', oid::regprocedure, prosrc), ' ' order by oid::regprocedure::text
                ) from functions
            )
        ))
    ").rows[0][0]) }}
{%- endmacro %}
