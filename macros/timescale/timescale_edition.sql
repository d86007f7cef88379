{# 'tsl', 'apache' or 'none', detected at run time: the same however dbt was called. #}
{% macro timescale_edition() -%}
    {%- if not execute -%}{{ return('none') }}{%- endif -%}
    {{ return(run_query("
        select coalesce(
            (
                select case current_setting('timescaledb.license', true)
                    when 'timescale' then 'tsl' else 'apache'
                end
                from pg_extension where extname = 'timescaledb'
            ),
            'none'
        )
    ").rows[0][0]) }}
{%- endmacro %}
