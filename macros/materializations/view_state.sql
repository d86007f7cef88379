{#
    A query of what a view is: a hash of PostgreSQL's own form of it, which a view that somebody
    replaced changes, and of the columns of what it reads, to which `select *` would add.
#}
{% macro view_state(relation) -%}
    select md5(
        rules.ev_action::text || coalesce((
            select string_agg(
                concat_ws(' ', a.attrelid, a.attnum, a.attname, a.atttypid, a.atttypmod), ', '
                order by a.attrelid, a.attnum
            )
            from pg_attribute as a
            where a.attnum > 0
                and not a.attisdropped
                and a.attrelid in (
                    select d.refobjid
                    from pg_depend as d
                    where d.classid = 'pg_rewrite'::regclass
                        and d.objid = rules.oid
                        and d.refclassid = 'pg_class'::regclass
                )
        ), '')
    )
    from pg_rewrite as rules
    where rules.ev_class = '{{ relation }}'::regclass and rules.rulename = '_RETURN'
{%- endmacro %}
