{#
    A condition on `stored` under which a row stays as it is, whatever the query makes, or none: what it
    was made of is gone. meta.keeps says it; or meta.outlives names a table whose oldest days are dropped
    by age: what is older than the oldest day in it stays.
#}
{% macro rows_kept() -%}
    {%- set meta = config.get('meta') or {} -%}
    {%- if not meta.get('outlives') -%}{{ return(meta.get('keeps')) }}{%- endif -%}
    {%- set oldest = oldest_day(meta['outlives'], meta['by']) -%}
    {{ return("stored." ~ told_day() ~ " < '" ~ oldest ~ "'" if oldest else 'true') }}
{%- endmacro %}
