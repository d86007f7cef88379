with stored as not materialized (
    select * from {{ ref('symbol_day_index') }} where status in ('complete', 'short')
),

-- of any contract
stored_days as (
    select
        symbol,
        trading_day,
        min(underlying_contract) as underlying_contract
    from stored
    group by symbol, trading_day
)

select
    s.variety,
    s.symbol,
    s.trading_day,
    s.underlying_contract,
    s.segment_id,
    s.schedule_hash,
    case
        when (i.segment_id, i.schedule_hash) = (s.segment_id, s.schedule_hash) then i.status
        when i.symbol is not null then 'to_restamp'
        when n.symbol is not null then 'no_data'
        when o.symbol is not null then 'other_contract'
        else 'missing'
    end as coverage,
    case
        when
            i.status = 'short'
            and i.volume_lots not between 0.99 * i.day_volume_lots and 1.01 * i.day_volume_lots
            then format(
                'ticks of %s lots, where the day bar has %s%s', i.volume_lots, i.day_volume_lots,
                {{ counted_sides(
                    'i.volume_lots', 'i.day_volume_lots', 'i.trading_day', 'i.underlying_contract'
                ) | indent(16) }}
            )
        when i.status = 'short' then 'a hole among the ticks'
        when i.symbol is null then coalesce(
            n.reason,
            o.underlying_contract,
            case
                when h.value = 'false'
                    then 'the account may not download the history of ticks (tq_dl)'
            end
        )
    end as reason,
    i.tick_count,
    i.first_tick_at,
    i.last_tick_at,
    i.row_hash,
    i.book_levels
from {{ ref('main_schedule') }} as s
left join stored as i
    on
        s.symbol = i.symbol
        and s.underlying_contract = i.underlying_contract
        and s.trading_day = i.trading_day
left join {{ ref('no_data_days') }} as n
    on
        s.symbol = n.symbol
        and s.underlying_contract = n.underlying_contract
        and s.trading_day = n.trading_day
left join stored_days as o on s.symbol = o.symbol and s.trading_day = o.trading_day
-- from the last load that had days to ask for
left join {{ ref('stg_ops__setting') }} as h on h.key = 'tq_history'
