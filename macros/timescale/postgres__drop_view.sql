{# dbt's own statement; a continuous aggregate, a view to dbt, is dropped as what it is. #}
{% macro postgres__drop_view(relation) -%}
    {%- do drop_continuous_aggregates(
        "view_schema = '" ~ relation.schema ~ "' and view_name = '" ~ relation.identifier ~ "'"
    ) -%}
    drop view if exists {{ relation }} cascade
{%- endmacro %}
