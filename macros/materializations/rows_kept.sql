{#
    A condition on `stored` under which a row stays as it is, whatever the query makes, or none: what it
    was made of is gone. meta.keeps says it; or meta.outlives names a table whose oldest days are dropped
    by age: what is older than the oldest day in it stays, and of days that were dropped by its `retain`
    what has no row of its code and day there: of these some may have been loaded again.
#}
{% macro rows_kept() -%}
    {%- set meta = config.get('meta') or {} -%}
    {%- set table = meta.get('outlives') -%}
    {%- if not table -%}{{ return(meta.get('keeps')) }}{%- endif -%}
    {%- set oldest = oldest_day(table, meta['by']) -%}
    {%- if not oldest -%}{{ return('true') }}{%- endif -%}
    {%- set day = told_day() -%}
    {%- set kept = ["stored." ~ day ~ " < '" ~ oldest ~ "'"] -%}
    {%- set first_day = first_day_retained(retention_of(table)) -%}
    {%- if first_day -%}
        {%- set since = "'" ~ first_day ~ " 00:00+00'" -%}
        {%- do kept.append(
            "stored." ~ day ~ " < " ~ since ~ " and not exists (
                select 1 from " ~ table ~ " as landed
                where
                    landed." ~ entity() ~ " = stored." ~ entity() ~ "
                    and landed." ~ day ~ " = stored." ~ day ~ "
                    and landed." ~ meta['by'] ~ " < " ~ since ~ "
            )"
        ) -%}
    {%- endif -%}
    {{ return(kept | join(' or ')) }}
{%- endmacro %}
