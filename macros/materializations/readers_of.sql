{# The views that read a relation, or some of its columns, and the views that read these. #}
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
