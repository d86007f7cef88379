{#
    What `create or replace` would change in an existing view: 'none', 'query', or 'columns' where
    PostgreSQL would refuse it. PostgreSQL prints the definitions of the view and of a temporary one
    with the new query.
#}
{% macro view_change(existing, sql) -%}
    {%- do run_query("create or replace temporary view quotemill_probe as (" ~ sql ~ ")") -%}
    {%- set change = run_query("
        select case
            when pg_get_viewdef('" ~ existing ~ "'::regclass)
                = pg_get_viewdef('pg_temp.quotemill_probe'::regclass)
                then 'none'
            when exists (
                select 1 from pg_attribute as old
                where old.attrelid = '" ~ existing ~ "'::regclass
                    and old.attnum > 0
                    and not exists (
                        select 1 from pg_attribute as new
                        where new.attrelid = 'pg_temp.quotemill_probe'::regclass
                            and (new.attnum, new.attname, new.atttypid, new.atttypmod)
                                = (old.attnum, old.attname, old.atttypid, old.atttypmod)
                    )
            ) then 'columns'
            else 'query'
        end
    ").rows[0][0] -%}
    {%- do run_query("drop view quotemill_probe") -%}
    {{ return(change) }}
{%- endmacro %}
