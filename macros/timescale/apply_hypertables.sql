{#
    Apply the settings of hypertables (see hypertable_changes): at the end of every build, or alone
    with dbt run-operation apply_hypertables.
#}
{% macro apply_hypertables() -%}
    {%- set statements = hypertable_changes() -%}
    {%- for statement in statements -%}
        {%- do log(statement, info=true) -%}
    {%- endfor -%}
    {%- if flags.WHICH == 'run-operation' and statements -%}
        {%- do run_query(statements | join('; ') ~ '; commit') -%}
    {%- else -%}
        {{ statements | join('; ') }}
    {%- endif -%}
{%- endmacro %}
