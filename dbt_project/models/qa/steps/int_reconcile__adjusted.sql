with segments as not materialized (
    select * from {{ ref('adjustment_segments') }}
),

paired as (
    select * from {{ ref('int_reconcile__vendor_prices') }}
),

-- raw prices where an event should show; prices are truncated to li, so one may be missing
bars as (
    select
        run_id,
        code,
        trade_date,
        vendor_date,
        bool_and(abs(theirs - raw) < 0.002) as is_raw,
        bool_or(abs(ours - raw) > 0.011) as shows_events,
        bool_or(abs(ours - theirs) > 0.011) as differs
    from paired
    group by run_id, code, trade_date, vendor_date
),

-- by trade_date downwards: a bar that agrees, and the older ones that differ
stretches as (
    select
        *,
        count(*) filter (where not differs) over (partition by code order by trade_date desc)
            as stretch,
        avg(differs::int) over (
            partition by code order by trade_date
            rows between unbounded preceding and 1 preceding
        ) as differing_share
    from bars
),

-- an event that one side lacks moves all older prices, but few that agree by chance: five or more
lacked as (
    select
        code,
        min(trade_date) as first_date,
        max(trade_date) filter (where differs) as last_date,
        max(trade_date) as ex_date
    from stretches
    where stretch > 0
    group by code, stretch
    having count(*) > 5 and max(differing_share) filter (where not differs) >= 0.8
),

verdicts as (
    select
        run_id,
        code,
        vendor_date,
        count(*) filter (where shows_events) as telling_bars,
        count(*) filter (where shows_events and is_raw and differs) as raw_bars,
        min(trade_date) filter (where shows_events and is_raw and differs) as first_raw_date,
        max(trade_date) filter (where shows_events and is_raw and differs) as last_raw_date
    from bars
    group by run_id, code, vendor_date
),

-- five, or all: a bar or two may agree by chance
raw_series as (
    select * from verdicts where raw_bars >= 5 or (raw_bars > 0 and raw_bars = telling_bars)
),

-- A vendor that lacks our newest events, but not all: raw since its newest event, and adjusted as
-- of then before it.
fitting as (
    select
        p.code,
        o.valid_to
    from paired as p
    inner join raw_series as r on p.code = r.code
    inner join segments as s
        on p.code = s.code and p.trade_date >= s.valid_from and p.trade_date < s.valid_to
    inner join segments as o
        on
            p.code = o.code
            and o.valid_from > date '1900-01-01'
            and p.vendor_date >= o.valid_to
    where p.field = 'close'
    group by p.code, o.valid_from, o.valid_to
    having
        bool_and(
            abs(
                case
                    when p.trade_date < o.valid_to
                        then (s.backward_a * p.raw + s.backward_b - o.backward_b) / o.backward_a
                    else p.raw
                end - p.theirs
            ) <= 0.011
        )
),

lacking as (
    select
        code,
        max(valid_to) as ex_date
    from fitting
    group by code
),

unadjusted as (
    select r.*
    from raw_series as r
    left join lacking as l on r.code = l.code
    where l.code is null
),

compared as (
    select
        p.*,
        abs(p.ours - p.theirs) > 0.011 as is_different
    from paired as p
    left join unadjusted as u on p.code = u.code
    where u.code is null and p.trade_date between p.first_date and p.last_date
),

-- the vendor's row may be of an earlier reading, before the newest events
other_days as (
    select distinct
        d.code,
        d.trade_date
    from compared as d
    inner join segments as s
        on d.code = s.code and d.trade_date >= s.valid_from and d.trade_date < s.valid_to
    inner join segments as o on d.code = o.code and s.valid_from <= o.valid_from
    where
        d.is_different
        and d.field = 'close'
        and abs(
            (s.backward_a * d.raw + s.backward_b - o.backward_b) / o.backward_a - d.theirs
        ) <= 0.006
)

select
    u.run_id,
    'adjusted_bars' as check_name,
    u.code,
    'day' as period,
    u.last_raw_date as trade_date,
    (u.last_raw_date + time '15:00') at time zone 'Asia/Shanghai' as bar_end,
    'close' as field,
    null::numeric as ours,
    null::numeric as theirs,
    'vendor_unadjusted' as likely_cause,
    format(
        '%s of %s bars that an event should change are raw, %s to %s',
        u.raw_bars, u.telling_bars, u.first_raw_date, u.last_raw_date
    ) as evidence,
    true as is_different
from unadjusted as u
union all
select
    d.run_id,
    'adjusted_bars' as check_name,
    d.code,
    'day' as period,
    d.trade_date,
    (d.trade_date + time '15:00') at time zone 'Asia/Shanghai' as bar_end,
    d.field,
    d.ours,
    d.theirs,
    case
        when not d.is_final then 'unfinished_bar'
        when d.trade_date < l.ex_date then 'late_corporate_action'
        when o.code is not null then 'vendor_at_another_day'
        when e.code is not null then 'late_corporate_action'
        else 'unexplained'
    end as likely_cause,
    coalesce(
        'the vendor is missing our event of ' || l.ex_date,
        'prices agree from ' || e.ex_date || ' on: ' || case
            when
                exists (
                    select 1 from segments as s
                    where
                        s.code = e.code
                        and s.valid_from > e.last_date
                        and s.valid_from <= e.ex_date
                )
                then 'the vendor is missing our event of that day, or has other figures'
            else 'an event of that day is missing here'
        end,
        format('as of %s; allowed: 0.011', d.vendor_date)
    ) as evidence,
    d.is_different
from compared as d
left join other_days as o on d.code = o.code and d.trade_date = o.trade_date
left join lacking as l on d.code = l.code
left join lacked as e on d.code = e.code and d.trade_date between e.first_date and e.last_date
