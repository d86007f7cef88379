with stages as (
    select * from {{ ref('option_stages') }}
),

-- sessions of the previous stage, with all of its symbols, judged by the limits of this one
session_days as (
    select
        s.stage,
        d.trade_date,
        bool_or(d.verdict = 'pending') as is_pending,
        bool_and(
            coalesce(
                d.slot_coverage >= s.min_slot_coverage
                and d.delayed_share < s.max_delayed_share
                and d.fallback_share <= s.max_fallback_share
                and (d.oi_share >= s.min_oi_share or d.oi_eligible_count = 0)
                and d.integrity_verdict <> 'fail',
                false
            )
        )
        and count(*) >= coalesce(max(b.symbol_count), 1) as is_passed,
        sum(d.pacing_event_count) as pacing_event_count,
        sum(d.given_up_count) as given_up_count
    from stages as s
    inner join {{ ref('int_option_stages__opened') }} as o on o.stage = s.stage - 1
    inner join stages as b on o.stage = b.stage
    inner join {{ ref('qa_option_day') }} as d
        on o.open_date < d.trade_date and d.is_in_universe is not false
    group by s.stage, d.trade_date
),

ranked as (
    select
        *,
        count(*) filter (where not is_passed)
            over (partition by stage order by trade_date desc) as failed_since,
        row_number() over (partition by stage order by trade_date desc) as age
    from session_days
    where not is_pending
)

select
    s.stage,
    count(r.trade_date) filter (where r.failed_since = 0)::integer as passed_sessions,
    max(r.trade_date) filter (where not r.is_passed) as last_failed_date,
    coalesce(sum(r.pacing_event_count) filter (where r.age <= s.needed_sessions), 0)::integer
        as pacing_event_count,
    coalesce(sum(r.given_up_count) filter (where r.age <= s.needed_sessions), 0)::integer
        as given_up_count
from stages as s
left join ranked as r on s.stage = r.stage
group by s.stage
