with stages as (
    select * from {{ ref('option_stages') }}
),

decided as (
    select distinct on (stage)
        stage,
        action,
        decided_at,
        decided_by
    from {{ source('ops', 'option_gates') }}
    order by stage asc, decided_at desc
),

-- the first stage is open from the start
opened as (
    select
        s.stage,
        s.stage = 0 or coalesce(d.action = 'open', false) as is_open,
        case
            when s.stage = 0 then date '1900-01-01'
            when d.action = 'open' then (d.decided_at at time zone 'America/New_York')::date
        end as open_date,
        d.decided_at,
        d.decided_by
    from stages as s
    left join decided as d on s.stage = d.stage
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
    inner join opened as o on o.stage = s.stage - 1
    inner join stages as b on o.stage = b.stage
    inner join {{ ref('qa_option_day') }} as d on o.open_date < d.trade_date
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
),

runs as (
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
),

-- The stage collected now: the highest that is open, since it was opened. A day without data of any
-- symbol does not count for its rates.
watched_days as (
    select
        s.stage,
        d.trade_date,
        min(d.slot_coverage) as slot_coverage,
        max(d.trade_date) over (partition by s.stage) as newest_date,
        sum(d.pacing_event_count) as pacing_event_count,
        bool_and(d.coverage_verdict <> 'pending') as is_judged
    from (select * from opened where is_open order by stage desc limit 1) as s
    inner join {{ ref('qa_option_day') }} as d on s.open_date < d.trade_date
    group by s.stage, d.trade_date
    having sum(d.row_count) > 0
),

watched as (
    select
        stage,
        (array_agg(trade_date order by trade_date desc) filter (where is_judged))[1]
            as watched_date,
        (array_agg(slot_coverage order by trade_date desc) filter (where is_judged))[1]
            as watched_coverage,
        coalesce(sum(pacing_event_count) filter (where trade_date > newest_date - 7), 0)::integer
            as weekly_pacing_event_count
    from watched_days
    group by stage
),

reasons as (
    select
        s.*,
        o.is_open,
        o.decided_at,
        o.decided_by,
        r.passed_sessions,
        r.last_failed_date,
        r.pacing_event_count,
        r.given_up_count,
        array_remove(
            array[
                case when not b.is_open then format('stage %s is not open', b.stage) end,
                case
                    when r.passed_sessions < s.needed_sessions
                        then format(
                            '%s of %s sessions in a row passed%s',
                            r.passed_sessions,
                            s.needed_sessions,
                            coalesce(': ' || r.last_failed_date || ' did not', '')
                        )
                end,
                case
                    when r.pacing_event_count > s.max_pacing_events
                        then format(
                            '%s pacing events, at most %s',
                            r.pacing_event_count,
                            s.max_pacing_events
                        )
                end,
                case
                    when r.given_up_count > s.max_given_up
                        then format(
                            '%s quotes given up, at most %s', r.given_up_count, s.max_given_up
                        )
                end
            ],
            null
        ) as missing,
        w.watched_date,
        w.watched_coverage,
        w.weekly_pacing_event_count,
        coalesce(w.watched_coverage < s.watched_slot_coverage, false) as is_coverage_low,
        coalesce(w.weekly_pacing_event_count > s.watched_pacing_events, false) as is_pacing_high
    from stages as s
    inner join opened as o on s.stage = o.stage
    inner join runs as r on s.stage = r.stage
    left join opened as b on b.stage = s.stage - 1
    left join watched as w on s.stage = w.stage
)

select
    stage,
    symbols,
    case
        when is_open then 'open'
        when cardinality(missing) = 0 then 'ready'
        else 'closed'
    end as state,
    case when is_open then '' else array_to_string(missing, '; ') end as reason,
    concat_ws(
        '; ',
        case
            when is_coverage_low
                then format(
                    'slot coverage %s on %s, below %s',
                    round(watched_coverage, 2),
                    watched_date,
                    watched_slot_coverage
                )
        end,
        case
            when is_pacing_high
                then format(
                    '%s pacing events in a week, at most %s',
                    weekly_pacing_event_count,
                    watched_pacing_events
                )
        end
    ) as warning,
    is_coverage_low,
    is_pacing_high,
    watched_date,
    watched_coverage,
    weekly_pacing_event_count,
    symbol_count,
    needed_sessions,
    passed_sessions,
    last_failed_date,
    pacing_event_count,
    given_up_count,
    min_slot_coverage,
    max_delayed_share,
    max_fallback_share,
    min_oi_share,
    max_pacing_events,
    max_given_up,
    watched_slot_coverage,
    watched_pacing_events,
    snapshot_per_minute,
    max_concurrent_snapshots,
    decided_at,
    decided_by
from reasons
