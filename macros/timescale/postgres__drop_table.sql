{# dbt's own statement, after the continuous aggregates that read the table. #}
{% macro postgres__drop_table(relation) -%}
    {%- do drop_continuous_aggregates(
        "hypertable_schema = '" ~ relation.schema ~ "'
        and hypertable_name = '" ~ relation.identifier ~ "'"
    ) -%}
    drop table if exists {{ relation }} cascade
{%- endmacro %}
