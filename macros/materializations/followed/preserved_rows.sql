{#
    A condition on `stored` under which a row stays as it is, whatever the query returns, because
    its sources are gone; or none. meta.keeps holds it; or meta.outlives names a table whose oldest
    days are dropped by age: then rows older than the oldest day in it stay, and of days dropped by
    its `retain` those without a row of their code and day there, since some may have been loaded
    again. Of these rows only those with the values in meta.outlives_with, which null stands for, as
    others come from another table.

    `existing`: a relation of earlier columns, which may lack those.
#}
{% macro preserved_rows(existing=none) -%}
    {%- set meta = config.get('meta') or {} -%}
    {%- set table = meta.get('outlives') -%}
    {%- if not table -%}{{ return(meta.get('keeps')) }}{%- endif -%}
    {%- set columns = adapter.get_columns_in_relation(existing) | map(attribute='name') | list
        if existing else model.columns.keys() -%}
    {%- set rows = [] -%}
    {%- for name, value in meta.get('outlives_with', {}).items() if name in columns -%}
        {%- do rows.append('coalesce(stored.' ~ name ~ ', ' ~ value ~ ') = ' ~ value) -%}
    {%- endfor -%}
    {%- set oldest = oldest_day(table, meta['by']) -%}
    {%- if not oldest -%}{{ return(rows | join(' and ') or 'true') }}{%- endif -%}
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
    {%- do rows.append(
        '(' ~ conditions | join(' or ') ~ ')' if rows else conditions | join(' or ')
    ) -%}
    {{ return(rows | join(' and ')) }}
{%- endmacro %}
