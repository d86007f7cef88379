{%- set verdicts = ['coverage', 'delayed', 'fallback', 'oi', 'integrity', 'lag'] -%}
{#- a limit of 1 disables the check of delayed data, for accounts that have no other -#}
{%- set passing = {
    'coverage': 'd.slot_coverage >= x.min_slot_coverage',
    'delayed': 'd.delayed_share < x.max_delayed_share '
        ~ 'or d.delayed_share = 1 and x.max_delayed_share = 1',
    'fallback': 'd.fallback_share <= x.max_fallback_share',
    'lag': 'd.capture_lag_p95_s <= x.max_capture_lag',
} -%}
{% set unknown = 'capture_lag_p95_s underlying_open underlying_close session_number next_number' %}
with clock as (select {{ as_of() }} as moment),

limits as (
    select
        {{ setting('ib_min_slot_coverage', 0.90) | indent }} as min_slot_coverage,
        {{ setting('ib_max_delayed_share', 0.10) | indent }} as max_delayed_share,
        {{ setting('ib_max_fallback_share', 0.05) | indent }} as max_fallback_share,
        {{ setting('ib_min_oi_share', 0.95) | indent }} as min_oi_share,
        {{ setting('ib_max_capture_lag_seconds', 120) | indent }} as max_capture_lag,
        {{ setting('ib_close_snapshot_until', "time '19:00'", 'time') | indent }} as close_ends,
        time '06:30' as oi_published
),

-- judged when the close view is no longer asked for; a symbol earlier, once it is complete
numbered as (
    select
        s.*,
        row_number() over (order by s.trade_date) as session_number,
        (s.trade_date + x.close_ends) at time zone 'America/New_York' as judged_at
    from {{ ref('sessions') }} as s
    cross join limits as x
),

closes as (
    select
        symbol,
        trade_date,
        max(finished_at) as whole_at
    from {{ ref('stg_ib__slot_run') }}
    where ingest_run_type = 'close' and status = 'complete'
    group by symbol, trade_date
),

counted as (
    select
        c.symbol,
        c.trade_date,
        {% for name in option_day_counts() -%}
            c.{{ name }},
        {% endfor -%}
        c.is_discovery_stale,
        c.uncovered_slots,
        c.capture_lag_p95_s,
        c.underlying_open,
        c.underlying_close,
        s.session_number,
        lead(s.session_number) over (partition by c.symbol order by c.trade_date) as next_number
    from {{ ref('int_option_days__counted') }} as c
    inner join numbered as s on c.trade_date = s.trade_date
),

-- of a symbol collected until then, up to five sessions in a row without anything
silent_days as (
    select
        c.symbol,
        n.trade_date
    from counted as c
    cross join clock
    inner join numbered as n
        on
            c.session_number < n.session_number
            and n.session_number <= c.session_number + 5
            and (c.next_number is null or c.next_number > n.session_number)
            and clock.moment >= n.judged_at
    where {{ is_in_universe('c.symbol') }}
),

days as (
    select * from counted
    union all
    select
        s.symbol,
        s.trade_date,
        {% for name in option_day_counts() -%}
            {{ 'n.slot_count' if name == 'slot_count' else 0 }} as {{ name }},
        {% endfor -%}
        false as is_discovery_stale,
        '{}' as uncovered_slots,
        null as {{ unknown.split() | join(',\n        null as ') }}
    from silent_days as s
    inner join numbered as n on s.trade_date = n.trade_date
),

-- the exchange publishes open interest in the morning of the next session
confirmations as (
    select
        e.symbol,
        e.trade_date,
        bool_or(
            e.pass <> 'first'
            and e.status not in ('stale', 'provisional')
            and e.attempted_at
            >= (s.next_trade_date + x.oi_published) at time zone 'America/New_York'
        ) as is_confirmed,
        bool_or(e.status = 'provisional') and not bool_or(e.status = 'complete') as is_doubtful
    from {{ ref('stg_ib__enrichment') }} as e
    inner join numbered as s on e.trade_date = s.trade_date
    cross join limits as x
    group by e.symbol, e.trade_date
),

shares as (
    select
        d.*,
        s.is_early_close,
        m.moment >= least(s.judged_at, v.whole_at) as is_judged,
        coalesce(c.is_confirmed, false) or coalesce(m.moment >= n.open_at, false) as is_oi_due,
        coalesce(c.is_doubtful and m.moment < n.close_at, false) as is_oi_doubtful,
        round(d.covered_slot_count / nullif(d.slot_count, 0)::numeric, 4) as slot_coverage,
        round(d.delayed_count / nullif(d.data_count, 0)::numeric, 4) as delayed_share,
        round(1 - d.close_count / nullif(d.daily_count, 0)::numeric, 4) as fallback_share,
        round(d.oi_count / nullif(d.oi_eligible_count, 0)::numeric, 4) as oi_share
    from days as d
    cross join clock as m
    inner join numbered as s on d.trade_date = s.trade_date
    left join numbered as n on s.next_trade_date = n.trade_date
    left join confirmations as c on d.symbol = c.symbol and d.trade_date = c.trade_date
    left join closes as v on d.symbol = v.symbol and d.trade_date = v.trade_date
),

-- missing figures pass nothing; only pending is neither
verdicts as (
    select
        d.*,
        {% for name, passes in passing.items() -%}
            case
                when not d.is_judged then 'pending'
                when {{ passes }} then 'pass'
                else 'fail'
            end as {{ name }}_verdict,
        {% endfor -%}
        case
            when not d.is_judged or d.is_oi_doubtful then 'pending'
            when d.oi_share >= x.min_oi_share then 'pass'
            when d.daily_count > 0 and d.oi_eligible_count = 0 then 'pass'
            when d.is_oi_due or d.daily_count = 0 then 'fail'
            else 'pending'
        end as oi_verdict,
        case
            when
                d.out_of_range_count + d.duplicate_count + d.unknown_flag_count
                + d.given_up_count + d.guessed_count > 0
                or d.source_count > 1
                then 'fail'
            when not d.is_judged then 'pending'
            else 'pass'
        end as integrity_verdict
    from shares as d
    cross join limits as x
)

select
    symbol,
    trade_date,
    case
        when 'fail' = any(words) then 'fail'
        when 'pending' = any(words) then 'pending'
        else 'pass'
    end as verdict,
    {{ verdicts | join('_verdict,\n    ') }}_verdict,
    is_early_close,
    slot_coverage,
    delayed_share,
    fallback_share,
    oi_share,
    uncovered_slots,
    is_discovery_stale,
    capture_lag_p95_s,
    underlying_open,
    underlying_close,
    {% for name in option_day_counts() -%}
        {{ name }},
    {% endfor -%}
    greatest(contract_count - daily_count, 0) as unresolved_count,
    {{ is_in_universe('symbol') }} as is_in_universe
from verdicts
cross join
    lateral (
        values
        (
            array[
                coverage_verdict, delayed_verdict, fallback_verdict, oi_verdict, lag_verdict,
                integrity_verdict
            ]
        )
    ) as w (words)
