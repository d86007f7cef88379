{#
    At the end of plain dbt: what its warnings of no_rows are about, and the command that lists all.
    `quotemill build` says so itself.
#}
{% macro name_findings() -%}
    {%- if execute and not env_var('QUOTEMILL_BUILD_LOCK_HELD', '') -%}
        {%- for result in results
            if result.status == 'warn' and result.node.name.startswith('no_rows_')
            and result.node.fqn[1] == 'qa' -%}
            {%- for row in run_query("
                select
                    check_name,
                    count(*) as finding_count,
                    min(concat_ws(' ', subject, trade_date)) as first_key
                from (" ~ result.node.compiled_code ~ ") as f
                group by check_name
                order by check_name
            ") -%}
                {%- do log(
                    result.node.name ~ ": " ~ row['finding_count'] ~ " x " ~ row['check_name']
                    ~ ", such as " ~ row['first_key'] ~ "; quotemill findings lists them",
                    info=true
                ) -%}
            {%- endfor -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}
