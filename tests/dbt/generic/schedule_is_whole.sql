{#
    Trading days of a window that are not exactly once in the schedule or without a main contract,
    and days of the schedule outside every window.
#}
{% test schedule_is_whole(model) %}
    with windows as (
        select distinct
            d.variety,
            d.trading_day,
            d.underlying_contract
        from {{ ref('int_main_contracts__of_days') }} as d
        where d.is_chosen
    ),

    scheduled as (
        select
            variety,
            trading_day,
            count(*) as row_count,
            min(underlying_contract) as underlying_contract
        from {{ model }}
        group by variety, trading_day
    )

    select
        coalesce(w.variety, s.variety) as variety,
        coalesce(w.trading_day, s.trading_day) as trading_day
    from windows as w
    full join scheduled as s on w.variety = s.variety and w.trading_day = s.trading_day
    where
        w.variety is null
        or coalesce(s.row_count, 0) <> case when w.underlying_contract is null then 0 else 1 end
        or s.underlying_contract <> w.underlying_contract
{% endtest %}
