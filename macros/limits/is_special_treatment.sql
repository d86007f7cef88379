{#
    Whether a name says special treatment: ST, *ST, SST, S*ST, and these behind what the exchange
    puts before a name on single days (XD, XR, DR, N). Example: {{ is_special_treatment('name') }}
#}
{% macro is_special_treatment(name) -%}
    {{ name }} ~ '^(N|XD|XR|DR)?S?[*]?ST'
{%- endmacro %}
