{#
    The role that may read, or none: setting reader_role, which the loaders write to ops.settings so
    that plain dbt knows it too. A role that does not exist is skipped, with a warning.
#}
{% macro reader_role() -%}
    {%- if execute -%}
        {%- set roles = run_query("
            select s.value, r.oid is not null as is_known
            from ops.settings as s
            left join pg_roles as r on s.value = r.rolname
            where s.key = 'reader_role' and s.value <> ''
        ") -%}
        {%- for row in roles if row['is_known'] -%}
            {{ return(adapter.quote(row['value'])) }}
        {%- endfor -%}
    {%- endif -%}
    {{ return(none) }}
{%- endmacro %}
