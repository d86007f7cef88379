{#
    The joins of main_schedule as s with the stored ticks of its days as d, and with the minutes
    made of them as t. Minutes of ticks that readers of the store do not see are none of the series.
#}
{% macro joined_tick_days() -%}
    inner join {{ ref('stg_tq__symbol_day') }} as d
        on
            s.symbol = d.symbol
            and s.underlying_contract = d.underlying_contract
            and s.trading_day = d.trading_day
            and d.status in ('complete', 'short')
    left join {{ ref('stg_tq__tick_minute_day') }} as t
        on s.underlying_contract = t.contract and s.trading_day = t.trading_day
{%- endmacro %}
