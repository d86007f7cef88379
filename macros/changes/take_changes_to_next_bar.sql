{#
    Pre-hook like take_changes, for a model that compares a bar with the one before it: each change
    reaches as far as the next bar of a trading day after it.
#}
{% macro take_changes_to_next_bar(trading_calendar) -%}
    update quotemill_intermediate.change_queue as q
    set
        is_taken = true,
        last_date = coalesce(
            (
                select b.trade_date from raw_tdx.kline_daily as b
                where b.code = q.code and b.trade_date > q.last_date
                    and (
                        select c.trade_date from {{ trading_calendar }} as c
                        where c.trade_date = b.trade_date
                    ) is not null
                order by b.trade_date
                limit 1
            ),
            q.last_date
        )
    where q.consumer = '{{ this.identifier }}'
{%- endmacro %}
