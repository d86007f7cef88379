{#
    Whether `relation` has a row of the same day (of the same `times`) under a code that the stock
    of `row` got later: where stocks are counted or ranked, that one counts.
#}
{% macro has_day_of_new_code(row, relation, times=['trade_date']) -%}
    exists (
        select 1 from {{ ref('code_changes') }} as own
        inner join {{ ref('code_changes') }} as later on own.new_code = later.new_code
        inner join {{ relation }} as newer
            on
                newer.code = case
                    when later.old_code = own.old_code then own.new_code
                    when (later.valid_from, later.old_code) > (own.valid_from, own.old_code)
                        then later.old_code
                end
        where
            own.old_code = {{ row }}.code
            {%- for time in times %}
            and newer.{{ time }} = {{ row }}.{{ time }}
            {%- endfor %}
    )
{%- endmacro %}
