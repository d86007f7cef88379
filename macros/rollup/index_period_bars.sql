{#
    The bars of indices by week or month (`period`), from their days. A bar is final once all its
    days are and the period is over.
#}
{% macro index_period_bars(period) -%}
    with days as (
        select
            *,
            date_trunc('{{ period }}', trade_date::timestamp)::date as {{ period }}_start
        from {{ changed(ref('stg_tdx__index_kline'), by='bar_end') }}
        where period = 'day'
    )

    select
        code,
        {{ period }}_start,
        max(trade_date) as trade_date,
        {{ folded_bars('bar_end') | indent }},
        (array_agg(up_count order by bar_end))[count(*)] as up_count,
        (array_agg(down_count order by bar_end))[count(*)] as down_count,
        bool_and(is_final)
        and {{ period_is_over(
            period, period ~ '_start', ref('int_market_day__next')
        ) | indent(8) }} as is_final,
        max(fetched_at) as fetched_at
    from days
    group by code, {{ period }}_start
{%- endmacro %}
