{#
    The volume that the service's decoder turns into the reported one, or null.

    Below 128 hands the decoder corrupts 1, 3, 4, 9-16 and 33-64 (and no other value): 1 -> 32768, 3
    -> 4098, 4 -> 8194, v -> 264 + 256 (v - 9), v -> 48 + 16 (v - 33). Each image has one inverse.
#}
{% macro decoded_volume(reported) -%}
    case
        when {{ reported }} = 32768 then 1
        when {{ reported }} = 4098 then 3
        when {{ reported }} = 8194 then 4
        when {{ reported }} between 264 and 2056 and ({{ reported }} - 264) % 256 = 0
            then 9 + ({{ reported }} - 264) / 256
        when {{ reported }} between 48 and 544 and {{ reported }} % 16 = 0
            then 33 + ({{ reported }} - 48) / 16
    end
{%- endmacro %}
