{#
    A condition on `stored` under which a row stays as it is, whatever the query returns, because
    its sources are gone; or none. meta.keeps holds it; or meta.outlives names a table whose oldest
    days are dropped by age: then rows older than the oldest day in it stay, and of days dropped by
    its `retain` those without a row of their code and day there, since some may have been loaded
    again.
#}
{% macro preserved_rows() -%}
    {%- set meta = config.get('meta') or {} -%}
    {%- set table = meta.get('outlives') -%}
    {%- if not table -%}{{ return(meta.get('keeps')) }}{%- endif -%}
    {%- set oldest = oldest_day(table, meta['by']) -%}
    {%- if not oldest -%}{{ return('true') }}{%- endif -%}
    {%- set day = feed_date() -%}
    {%- set conditions = ["stored." ~ day ~ " < '" ~ oldest ~ "'"] -%}
    {%- set first_day = first_day_retained(retention(table)) -%}
    {%- if first_day -%}
        {%- set since = "'" ~ first_day ~ " 00:00+00'" -%}
        {%- do conditions.append(
            "stored." ~ day ~ " < " ~ since ~ " and not exists (
                select 1 from " ~ table ~ " as landed
                where
                    landed." ~ entity() ~ " = stored." ~ entity() ~ "
                    and landed." ~ day ~ " = stored." ~ day ~ "
                    and landed." ~ meta['by'] ~ " < " ~ since ~ "
            )"
        ) -%}
    {%- endif -%}
    {{ return(conditions | join(' or ')) }}
{%- endmacro %}
