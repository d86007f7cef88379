{#
    Whether `relation` has a row of the same day (of the same `times`) under the code that the stock
    of `row` got later: where stocks are counted or ranked, that one counts.
#}
{% macro has_day_of_new_code(row, relation, times=['trade_date']) -%}
    exists (
        select 1 from {{ ref('code_changes') }} as later
        inner join {{ relation }} as newer on later.new_code = newer.code
        where
            later.old_code = {{ row }}.code
            {%- for time in times %}
            and newer.{{ time }} = {{ row }}.{{ time }}
            {%- endfor %}
    )
{%- endmacro %}
