{#
    dbt's own, without the time limits of the role and without compiled plans (see
    use_build_settings).
#}
{% macro postgres__get_test_sql(main_sql, fail_calc, warn_if, error_if, limit) -%}
    {%- do use_build_settings() -%}
    {{ default__get_test_sql(main_sql, fail_calc, warn_if, error_if, limit) }}
{%- endmacro %}
