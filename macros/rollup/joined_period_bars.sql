{#
    The model of the adjusted bars by week or month (`period`) over changes of codes: of a stock
    that changed made of kline_daily_joined_qfq on reading, of all others those of
    kline_weekly_qfq or kline_monthly_qfq.
#}
{% macro joined_period_bars(period) -%}
    {%- set start = period ~ '_start' -%}
    {%- set columns = [
        'trade_date', 'open', 'high', 'low', 'close', 'volume_shares', 'amount_cny', 'bar_count',
        'is_final', 'has_refused_action',
    ] -%}
    {%- set changed -%}
        (select old_code from {{ ref('code_changes') }}
        union all
        select new_code from {{ ref('code_changes') }})
    {%- endset -%}
    select
        code,
        {{ start }},
        {{ columns | join(',\n        ') }}
    from {{ ref('kline_' ~ period ~ 'ly_qfq') }}
    where code not in {{ changed }}
    union all
    select
        code,
        {{ start }},
        max(trade_date) as trade_date,
        {{ folded_bars('trade_date') | indent }},
        count(*)::integer as bar_count,
        bool_and(is_final)
        and {{ period_is_over(period, start, ref('int_market_day__next')) | indent(8) }}
            as is_final,
        bool_or(has_refused_action) as has_refused_action
    from (
        select
            *,
            date_trunc('{{ period }}', trade_date::timestamp)::date as {{ start }}
        from {{ ref('kline_daily_joined_qfq') }}
        where code in {{ changed }}
    ) as days
    group by code, {{ start }}
{%- endmacro %}
