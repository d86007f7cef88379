{# The findings of the rejected rows of a source that are not withdrawn. #}
{% macro rejected_row_findings(rejected_rows) -%}
    select
        'rejected_row' as check_name,
        'warning' as severity,
        dataset || ' ' || row_key as subject,
        null::date as trade_date,
        format(
            '%s = %s breaks the rule: %s; it lands once the source corrects it',
            field, coalesce(value, 'null'), rule
        ) as evidence
    from {{ rejected_rows }}
    where not is_withdrawn
{%- endmacro %}
