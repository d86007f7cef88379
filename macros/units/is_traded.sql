{#
    Whether anything was traded on the day of a landed bar. Some sources write the last price as a
    bar without shares and turnover for each day of a suspension.
#}
{% macro is_traded() -%}
    volume <> 0 or amount <> 0 or open <> close or low <> high
{%- endmacro %}
