{# A data test as dbt runs it, without the time limits of the role and plans to compile. #}
{% materialization test, adapter='postgres' -%}
    {%- do use_build_settings() -%}
    {{ return(materialization_test_default()) }}
{%- endmaterialization %}
