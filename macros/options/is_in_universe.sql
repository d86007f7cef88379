{#
    Whether a symbol is of the stage that is collected: a try of others by --symbols is no part of
    its verdicts. All are, before a loader has written the list.
#}
{% macro is_in_universe(symbol) -%}
    coalesce(
        (
            select {{ symbol }} = any(string_to_array(s.value, ','))
            from {{ ref('stg_ops__setting') }} as s
            where s.key = 'ib_symbols' and s.value <> ''
        ),
        true
    )
{%- endmacro %}
