{#
    The rows of ops.changes for the rows of the table `differing`: by entity, and by date where
    meta.by names a column of dates: month by month (32 days), from the first date that changed to
    the last; for a code with more than 32 such months one span. The landing path does the same
    (loaders/landing/change_feed.py).
#}
{% macro rows_for_feed(differing) -%}
    {%- set key = entity() if entity() in key_columns() else "''" -%}
    {%- set day = feed_date() -%}
    {%- if day -%}
    select
        '{{ this.schema }}.{{ this.identifier }}' as table_name,
        key,
        case
            when count(*) <= 32 then range_agg(daterange(first_day, last_day, '[]'))
            else datemultirange(daterange(min(first_day), max(last_day), '[]'))
        end as dates
    from (
        select
            {{ key }} as key,
            min({{ day }}) as first_day,
            max({{ day }}) as last_day
        from {{ differing }}
        group by 1, ({{ day }} - date '2000-01-01') / 32
    ) as month
    group by key
    {%- else -%}
    select distinct
        '{{ this.schema }}.{{ this.identifier }}' as table_name,
        {{ key }} as key
    from {{ differing }}
    {%- endif -%}
{%- endmacro %}

{# The columns of ops.changes that rows_for_feed fills. #}
{% macro feed_columns() -%}
    {{ return('table_name, key, dates' if feed_date() else 'table_name, key') }}
{%- endmacro %}

{# The column of dates in the feed: meta.by; for bars with a time their trading date. #}
{% macro feed_date() -%}
    {%- set by = (config.get('meta') or {}).get('by') -%}
    {{ return('trade_date' if by == 'bar_end' else by) }}
{%- endmacro %}

{#
    The column of the key in the feed: meta.entity, or code; none for a model of whole days, where a
    change of any code is one of its day.
#}
{% macro entity() -%}
    {{ return((config.get('meta') or {}).get('entity', 'code')) }}
{%- endmacro %}
