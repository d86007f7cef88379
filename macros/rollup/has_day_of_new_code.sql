{#
    Whether `relation` has a row of the same day (`day`) under the code that the stock of `row` got
    later: where stocks are counted or ranked, that one counts.
#}
{% macro has_day_of_new_code(row, relation, day='trade_date') -%}
    exists (
        select 1 from {{ ref('code_changes') }} as c
        inner join {{ relation }} as n on c.new_code = n.code
        where c.old_code = {{ row }}.code and n.{{ day }} = {{ row }}.{{ day }}
    )
{%- endmacro %}
