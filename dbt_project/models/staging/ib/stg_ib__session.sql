-- a session that was expected and then left the calendar never was one
select
    s.trade_date,
    s.open_at,
    s.close_at,
    s.slots as slot_count,
    s.is_early_close,
    s.fetched_at,
    s.slot_before_close_at
from {{ source('raw_ib', 'session') }} as s
where
    s.is_final
    or s.trade_date > (
        select coalesce(max(f.trade_date), '-infinity')
        from {{ source('raw_ib', 'session') }} as f
        where f.is_final
    )
