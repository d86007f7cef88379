with opened as (
    select * from {{ ref('int_option_stages__opened') }}
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
    from {{ ref('option_stages') }} as s
    inner join opened as o on s.stage = o.stage
    inner join {{ ref('int_option_stages__passed') }} as r on s.stage = r.stage
    left join opened as b on b.stage = s.stage - 1
    left join {{ ref('int_option_stages__watched') }} as w on s.stage = w.stage
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
