{#
    Tell the feed what the temporary table differing holds, by entity, and by date where meta.by names a
    column of dates: month by month (32 days), from the first that changed to the last; of a code with
    more months than 32, from its first date to its last. The landing path says it the same way
    (loaders/landing/change_feed.py).
#}
{% macro tell_changes() -%}
    {%- set key = entity() if entity() in config.get('unique_key') else "''" -%}
    {%- set day = told_day() -%}
    {%- if day -%}
    insert into ops.changes (table_name, key, dates)
    select
        '{{ this.schema }}.{{ this.identifier }}',
        key,
        case
            when count(*) <= 32 then range_agg(daterange(first_day, last_day, '[]'))
            else datemultirange(daterange(min(first_day), max(last_day), '[]'))
        end
    from (
        select
            {{ key }} as key,
            min({{ day }}) as first_day,
            max({{ day }}) as last_day
        from differing
        group by 1, ({{ day }} - date '2000-01-01') / 32
    ) as month
    group by key
    {%- else -%}
    insert into ops.changes (table_name, key)
    select distinct
        '{{ this.schema }}.{{ this.identifier }}',
        {{ key }}
    from differing
    {%- endif -%}
{%- endmacro %}

{# The column of dates that the feed tells: meta.by, for bars with a time their trading date. #}
{% macro told_day() -%}
    {%- set by = (config.get('meta') or {}).get('by') -%}
    {{ return('trade_date' if by == 'bar_end' else by) }}
{%- endmacro %}

{# The column by which the feed tells what changed: meta.entity, code where it says nothing else. #}
{% macro entity() -%}
    {{ return((config.get('meta') or {}).get('entity', 'code')) }}
{%- endmacro %}
