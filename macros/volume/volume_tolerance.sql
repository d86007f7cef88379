{#
    By how many shares a sum of parts may miss the volume of their day: a ten-thousandth, since
    volumes travel as single floats, and one `unit` of the coarser one, which its odd shares do not
    fill.
#}
{% macro volume_tolerance(volume_shares, unit) -%}
    greatest({{ unit }}, 0.0001 * {{ volume_shares }})
{%- endmacro %}
