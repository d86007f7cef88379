{#
    dbt's own, except for arrays: the information schema calls them ARRAY, which is not a type to
    cast to.
#}
{% macro postgres__get_columns_in_relation(relation) -%}
    {%- set columns = run_query("
        select
            column_name,
            case
                data_type when 'ARRAY' then substr(udt_name, 2) || '[]' else data_type
            end as data_type,
            character_maximum_length,
            numeric_precision,
            numeric_scale
        from " ~ relation.information_schema('columns') ~ "
        where table_name = '" ~ relation.identifier ~ "'
            " ~ ("and table_schema = '" ~ relation.schema ~ "'" if relation.schema else "") ~ "
        order by ordinal_position
    ") -%}
    {{ return(sql_convert_columns_in_relation(columns)) }}
{%- endmacro %}
