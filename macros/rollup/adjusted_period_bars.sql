{#
    The adjusted bars of stocks and funds by week or month (`period`). A bar is final once all its
    days are and the period is over: a code suspended at its end gets no more days.
#}
{% macro adjusted_period_bars(period) -%}
    with days as (
        select
            *,
            date_trunc('{{ period }}', trade_date::timestamp)::date as {{ period }}_start
        from {{ changed(ref('kline_daily_qfq')) }}
    )

    {{ period_of_days(period, ref('int_market_day__next')) }}
    from days
    group by code, {{ period }}_start
{%- endmacro %}

{#
    The select of such bars from days with the start of their period; `market_day`: a relation
    with next_trade_date.
#}
{% macro period_of_days(period, market_day) -%}
    select
        code,
        {{ period }}_start,
        max(trade_date) as trade_date,
        {{ folded_bars('trade_date') | indent }},
        count(*)::integer as bar_count,
        bool_and(is_final)
        and {{ period_is_over(
            period, period ~ '_start', market_day
        ) | indent(8) }} as is_final,
        bool_or(has_refused_action) as has_refused_action
{%- endmacro %}
