{#
    Whether the service's decoder can turn less than one hand into this number of hands: it corrupts
    1, 3, 4, 9-16 and 33-64 shares (see decoded_volume) before it divides by 100. Only the turnover
    shows whether it did.
#}
{% macro decoded_as_hands(hands) -%}
    {{ hands }} in (1, 2, 3, 4, 5, 7, 10, 12, 15, 18, 20, 40, 81, 327)
{%- endmacro %}
