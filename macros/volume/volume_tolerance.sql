{#
    By how many shares a sum of parts may miss the volume of their day: a ten-thousandth, since
    volumes travel as single floats, and one hand, since the source rounds shares down to hands.
#}
{% macro volume_tolerance(volume_shares) -%}
    greatest(100, 0.0001 * {{ volume_shares }})
{%- endmacro %}
