-- The stage collected now: the highest that is open, since it was opened. A day without data of any
-- symbol does not count for its rates.
with days as (
    select
        s.stage,
        d.trade_date,
        min(d.slot_coverage) as slot_coverage,
        max(d.trade_date) over (partition by s.stage) as newest_date,
        sum(d.pacing_event_count) as pacing_event_count,
        bool_and(d.coverage_verdict <> 'pending') as is_judged
    from (
        select * from {{ ref('int_option_stages__opened') }}
        where is_open
        order by stage desc
        limit 1
    ) as s
    inner join {{ ref('qa_option_day') }} as d
        on s.open_date < d.trade_date and d.is_in_universe is not false
    group by s.stage, d.trade_date
    having sum(d.row_count) > 0
)

select
    stage,
    (array_agg(trade_date order by trade_date desc) filter (where is_judged))[1]
        as watched_date,
    (array_agg(slot_coverage order by trade_date desc) filter (where is_judged))[1]
        as watched_coverage,
    coalesce(sum(pacing_event_count) filter (where trade_date > newest_date - 7), 0)::integer
        as weekly_pacing_event_count
from days
group by stage
