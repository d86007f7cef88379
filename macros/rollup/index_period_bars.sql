{#
    Bars of indices by week or month (`period`), as the source builds them, one per period.

    The source stamps an unfinished bar with its newest day, so several may be stored for one
    period: the one that reaches furthest counts, and of two that reach as far the final one.
#}
{% macro index_period_bars(period) -%}
    {%- set start = "date_trunc('" ~ period ~ "', k.trade_date::timestamp)::date" -%}
    select distinct on (k.code, {{ start }})
        k.code,
        {{ start }} as {{ period }}_start,
        k.trade_date,
        k.open,
        k.high,
        k.low,
        k.close,
        k.volume_shares,
        k.amount_cny,
        k.up_count,
        k.down_count,
        k.is_final and {{ period_is_over(period, 'k.trade_date') | indent(8) }} as is_final,
        k.fetched_at
    from {{ ref('stg_tdx__index_kline') }} as k
    where k.period = '{{ period }}'
    order by k.code asc, {{ start }} asc, k.trade_date desc, k.is_final desc, k.bar_end desc
{%- endmacro %}
