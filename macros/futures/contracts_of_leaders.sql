{#
    The contract of each row of the relation `leaders`, which has a delivery by variety and
    trading_day, and prev_trading_day: never back to an earlier delivery than on the days before.
    prev_contract and day_before are those of the row before; where it is of another day than
    prev_trading_day, days without a contract lie between.
#}
{% macro contracts_of_leaders(leaders) -%}
    select
        h.variety,
        h.trading_day,
        h.prev_trading_day,
        c.contract as underlying_contract,
        lag(c.contract) over days as prev_contract,
        lag(h.trading_day) over days as day_before
    from (
        select
            variety,
            trading_day,
            prev_trading_day,
            max(delivery) over (partition by variety order by trading_day) as delivery
        from {{ leaders }}
    ) as h
    inner join {{ ref('int_contracts__by_delivery') }} as c
        on h.variety = c.variety and h.delivery = c.delivery and c.is_first
    window days as (partition by h.variety order by h.trading_day)
{%- endmacro %}
