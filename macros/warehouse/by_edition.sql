{#
    The macro of that name for the edition of this database, which is detected at run time, so the
    same however dbt was called: `citus__<name>` (in macros/citus) or `timescale__<name>` where
    there is one, else `default__<name>`.
#}
{% macro by_edition(name) -%}
    {%- set edition = 'default' -%}
    {%- if execute -%}
        {%- set edition = run_query("
            select coalesce(
                min(case extname when 'citus' then 'citus' else 'timescale' end), 'default'
            )
            from pg_extension where extname in ('citus', 'timescaledb')
        ").rows[0][0] -%}
    {%- endif -%}
    {{ return(context.get(edition ~ '__' ~ name) or context['default__' ~ name]) }}
{%- endmacro %}
