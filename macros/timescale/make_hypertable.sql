{#
    Make a table that has no row yet a hypertable, as meta.hypertable of its model says. The primary key
    has the column of time, so no further index comes with it.
#}
{% macro make_hypertable(relation) -%}
    {%- set wanted = config.get('meta')['hypertable'] -%}
    {%- do run_query(
        "select create_hypertable('" ~ relation ~ "', by_range('" ~ wanted['time'] ~ "', interval '"
        ~ wanted['chunk'] ~ "'), create_default_indexes => false)"
    ) -%}
{%- endmacro %}
