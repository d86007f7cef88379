{# Make an empty table a hypertable, as meta.hypertable of its model says. #}
{% macro make_hypertable(relation) -%}
    {%- set wanted = config.get('meta')['hypertable'] -%}
    {%- do run_query(
        "select create_hypertable('" ~ relation ~ "', by_range('" ~ wanted['time'] ~ "', interval '"
        ~ wanted['chunk'] ~ "'), create_default_indexes => false)"
    ) -%}
{%- endmacro %}
