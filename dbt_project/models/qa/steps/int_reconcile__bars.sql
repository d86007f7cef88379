-- the third-party page splits weeks and months over New Year: never compared
with theirs as (
    select
        s.run_id,
        k.*,
        case k.period
            when 'week' then date_trunc('week', k.trade_date::timestamp)::date::text
            when 'month' then date_trunc('month', k.trade_date::timestamp)::date::text
            else extract(epoch from k.bar_end)::text
        end as bucket
    from {{ ref('int_reconcile__sample') }} as s
    inner join {{ ref('stg_tdx__kline_period') }} as k
        on s.code = k.code and k.trade_date between s.first_date and s.last_date
    where
        k.period <> 'day'  -- days of files are no figure of the service
        and k.source_route not like '%ths%'
        and not (k.period in ('week', 'month') and k.source_route not like '%kline-all%')
),

-- Bars that were not asked for are not differences. An open week or month ends on another day with
-- each bar: it is matched, and bounded, by its start.
asked as (
    select
        code,
        period,
        min(bucket) as first_bucket,
        max(bucket) as last_bucket
    from theirs
    group by code, period
),

asked_of_ours as (
    select o.*
    from {{ ref('int_reconcile__built_bars') }} as o
    inner join asked as a on o.code = a.code and o.period = a.period
    where o.bucket between a.first_bucket and a.last_bucket
),

minutes as (
    {{ sample_rows(
        ref('stg_tdx__kline_minute'),
        "k.bar_end >= s.first_date::timestamp at time zone 'Asia/Shanghai'"
        ~ " and k.bar_end < (s.last_date + 1)::timestamp at time zone 'Asia/Shanghai'"
    ) | indent }}
),

-- days whose 13:01 is part of the bar of 13:00
noon as (
    select
        code,
        trade_date
    from minutes
    group by code, trade_date
    having
        bool_or(source_label = '13:00')
        and not bool_or((bar_end at time zone 'Asia/Shanghai')::time = time '13:01')
),

-- Prices must be equal. In hands each part of a bar loses its odd shares; a sum loses a
-- ten-thousandth to single floats.
compared as (
    select
        coalesce(o.run_id, t.run_id) as run_id,
        coalesce(o.code, t.code) as code,
        coalesce(o.period, t.period) as period,
        coalesce(t.trade_date, o.trade_date) as trade_date,
        coalesce(t.bar_end, o.bar_end) as bar_end,
        o.code is null as is_missing_here,
        t.code is null as is_missing_there,
        coalesce(o.is_final, true) and coalesce(t.is_final, true)
        and coalesce(o.trade_date = t.trade_date, true) as is_final,
        o.minutes,
        o.bar_minutes,
        coalesce(o.has_odd_volume, false) as has_odd_volume,
        coalesce(o.is_price_only, false) as is_price_only,
        coalesce(o.is_landed_bar, false) as is_landed_bar,
        t.volume_unit as their_unit,
        f.field,
        f.ours,
        f.theirs,
        f.tolerance
    from asked_of_ours as o
    full join theirs as t
        on o.code = t.code and o.period = t.period and o.bucket = t.bucket
    cross join lateral (
        values
        ('bar', (o.code is not null)::integer, (t.code is not null)::integer, 0),
        ('open', o.open, t.open, 0),
        ('high', o.high, t.high, 0),
        ('low', o.low, t.low, 0),
        ('close', o.close, t.close, 0),
        (
            'volume_shares', o.volume_shares, t.volume_shares,
            case
                when o.volume_unit = 1 and t.volume_unit = 1 then 0
                else 100 * (1 + coalesce(o.part_count, 0))
            end
            + 0.0001 * t.volume_shares
        ),
        ('amount_cny', o.amount_cny, t.amount_cny, 0.0001 * t.amount_cny)
    ) as f (field, ours, theirs, tolerance)
)

select
    c.run_id,
    case
        when c.period in ('week', 'month') then 'bars_of_days'
        else 'bars_of_minutes'
    end as check_name,
    c.code,
    c.period,
    c.trade_date,
    c.bar_end,
    c.field,
    c.ours,
    c.theirs,
    case
        when not c.is_final then 'unfinished_bar'
        when c.is_missing_there then 'missing_there'
        when c.is_missing_here and c.period in ('week', 'month') then 'missing_days'
        when
            n.code is not null
            and (c.bar_end at time zone 'Asia/Shanghai')::time in (
                time '11:30', time '13:05', time '13:15', time '13:30', time '14:00'
            )
            then 'noon_label'
        when c.is_missing_here or c.minutes < c.bar_minutes then 'missing_minutes'
        when c.is_price_only then 'price_only_minutes'
        when
            c.field = 'volume_shares'
            and (
                c.has_odd_volume
                or c.their_unit = 100
                and {{ decoded_volume('div(c.theirs, 100)') }} = div(c.ours, 100)
            )
            then 'small_volume_decoding'
        when c.period = 'week' and extract(week from c.trade_date) = 1 then 'first_week_of_year'
        else 'unexplained'
    end as likely_cause,
    case
        when c.is_missing_here then 'the service has the bar, but it is missing here'
        when c.is_missing_there then 'the bar is missing in the service'
        when c.minutes < c.bar_minutes
            then format('%s of %s minutes stored', c.minutes, c.bar_minutes)
        else format('allowed: %s', round(c.tolerance, 3))
    end as evidence,
    abs(c.ours - c.theirs) > c.tolerance as is_different
from compared as c
left join noon as n on c.code = n.code and c.trade_date = n.trade_date
-- a landed bar that is ours where a day has no complete minutes is not compared with itself
where c.ours is not null and c.theirs is not null and not c.is_landed_bar
