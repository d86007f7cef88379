{#
    The segments of a schedule of contracts: trading days in a row with one of them. `same` are
    columns beside that have one value in each.
#}
{% macro schedule_segments(schedule, same=[]) -%}
    {%- set key = ['variety', 'symbol', 'segment_id', 'underlying_contract'] -%}
    select
        {{ key | join(',\n        ') }},
        min(trading_day) as first_trading_day,
        max(trading_day) as last_trading_day,
        count(*)::integer as trading_day_count,
        (array_agg(prev_contract order by trading_day))[1] as prev_contract,
        bool_or(is_switch) as is_switch
        {%- for column in same %},
        {{ column }}
        {%- endfor %}
    from {{ schedule }}
    group by {{ (key + same) | join(', ') }}
{%- endmacro %}
