{#
    Drop the continuous aggregates that `condition` selects from timescaledb_information.

    A plain `drop view` refuses them, and a cascade over one leaves dbt's backup table behind, after
    which every later run fails.
#}
{% macro drop_continuous_aggregates(condition) -%}
    {%- if timescale_edition() == 'tsl' -%}
        {%- for row in run_query("
            select format('%I.%I', view_schema, view_name) as relation
            from timescaledb_information.continuous_aggregates
            where " ~ condition
        ) -%}
            {%- do run_query("drop materialized view if exists " ~ row['relation'] ~ " cascade") -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}
