{#
    A landed value, null if it stands for none: the one rule in SQL for what lands as it was
    sent. Python has it for what is cleaned before (loaders/landing/no_value.py).

    `kind`: above_zero (a price, or the orders of a trade), size, text.
#}
{% macro none_if_unset(value, kind) -%}
    {%- if kind == 'above_zero' -%}
        nullif({{ value }}, 0)
    {%- elif kind == 'size' -%}
        case when {{ value }} not in (2147483647, 9223372036854775807) then {{ value }} end
    {%- else -%}
        case when lower(trim({{ value }})) not in ('', '-', '--', 'nan') then {{ value }} end
    {%- endif -%}
{%- endmacro %}
