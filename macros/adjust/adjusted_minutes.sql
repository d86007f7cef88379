{#
    The view of the minutes or longer bars within the day of `bars`, whose prices `prices` adjusts
    with the coefficients of their day. No bar spans an ex-date, and the adjustment keeps the order
    of prices: an adjusted bar is the bar of the adjusted minutes. No CTE: see stg_tdx__kline_daily.
    `is_longer`: of longer bars, with their counts; `segments`: in place of those as of the newest
    day.

    Example: adjusted_minutes(ref('kline_5m'), forward_adjusted(), is_longer=true)
#}
{% macro adjusted_minutes(bars, prices, is_longer=false, segments=none) -%}
    select
        b.code,
        b.bar_end,
        b.trade_date,
        {{ prices }},
        b.volume_shares,
        b.amount_cny,
        {% if is_longer -%}
        b.bar_count,
        {% endif -%}
        b.is_price_only,
        b.is_final,
        coalesce(s.has_refused_action, false) as has_refused_action
        {%- if is_longer %},
        b.source_minutes
        {%- endif %}
    from {{ bars }} as b
    left join {{ segments or ref('adjustment_segments') }} as s
        on b.code = s.code and b.trade_date >= s.valid_from and b.trade_date < s.valid_to
{%- endmacro %}
