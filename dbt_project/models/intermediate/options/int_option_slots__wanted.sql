-- those of ib.slot_range (09:30-10:00, in New York), or all
with times as (
    select
        s.trade_date,
        g.slot_30m,
        s.open_at + g.slot_30m * interval '30 minutes' as slot_at
    from {{ ref('stg_ib__session') }} as s
    cross join generate_series(0, s.slot_count - 1) as g (slot_30m)
    union all
    select
        trade_date,
        slot_count as slot_30m,
        slot_before_close_at as slot_at
    from {{ ref('stg_ib__session') }}
    where slot_before_close_at is not null
),

slots as (
    select
        trade_date,
        slot_30m,
        to_char(slot_at at time zone 'America/New_York', 'HH24:MI') as slot_label
    from times
)

select
    s.trade_date,
    s.slot_30m,
    s.slot_label
from slots as s
left join {{ ref('stg_ops__setting') }} as r on r.key = 'ib_slot_range' and r.value <> ''
where
    r.key is null
    or s.slot_label between split_part(r.value, '-', 1) and split_part(r.value, '-', 2)
