{#
    Bars of indices by week or month (`period`), as the source builds them, one for each.

    The source stamps an unfinished bar with the newest day in it, so several may be stored of one
    period: the one that reaches furthest counts, of two as far the final one.
#}
{% macro index_bars_of_period(period) -%}
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
