with quotes as (
    {{ captured_quotes() | indent }}
),

-- A row captured after the window of the last slot is not a close; nor is a row of delayed data,
-- which is as old.
placed as (
    select
        q.*,
        q.rollup_source_view = 'intraday' and q.slot_30m = s.slot_count - 1 as is_close_slot,
        case
            when
                q.rollup_source_view = 'close'
                or (
                    q.slot_30m = s.slot_count - 1
                    and q.is_on_time
                    and (q.market_data_type in (3, 4)) is not true
                )
                then 1
            -- the half hour before the close, or the slot that a setting adds after it
            when q.slot_30m in (s.slot_count - 2, s.slot_count) then 2
            else 3
        end as rung
    from quotes as q
    left join {{ ref('stg_ib__session') }} as s on q.trade_date = s.trade_date
)

-- Within a rung two prices come before one, and a quote before a trade; then the close view, then
-- the latest.
select
    *,
    is_good and is_on_time and row_number() over (
        partition by symbol, trade_date, conid
        order by
            case when is_good and is_on_time then 0 else 1 end asc,
            rung asc,
            case
                when mid is not null then 0
                when coalesce(bid, ask) is not null then 1
                else 2
            end asc,
            rollup_source_view asc,
            sample_time desc
    ) = 1 as is_day_quote
from placed
