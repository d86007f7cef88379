{# The end of an evidence: `what` as a text, if another unit explains the count; else nothing. #}
{% macro unit_note(what, count, low, high, factor=100) -%}
    case
        when {{ in_another_unit(count, low, high, factor) | indent(8) }}
            then ': ' || {{ what }}
        else ''
    end
{%- endmacro %}
