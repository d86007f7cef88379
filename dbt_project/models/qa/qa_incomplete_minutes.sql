-- the newest ten trading days: older ones were reported before, with the same fix
with newest_days as (
    select c.trade_date
    from {{ ref('trading_calendar') }} as c
    cross join {{ ref('int_market_day__latest') }} as m
    where c.trade_date <= m.as_of_date
    order by c.trade_date desc
    limit 10
),

minutes as (
    select
        k.code,
        k.trade_date,
        sum(k.bar_count) as minute_count,
        sum(k.volume_shares) as volume_shares,
        bool_and(k.is_final) as is_final,
        max(k.source_minutes) as source_minutes
    from newest_days as d
    {{ joined_by_day(ref('kline_30m')) | indent }}
    group by k.code, k.trade_date
),

-- a code for which nothing was requested lacks nothing
codes as (
    select
        code,
        case min(source_minutes) when 5 then 'minute_5m' else 'minute_1m' end as dataset
    from minutes
    group by code
),

-- as joined_by_day does; materialized: else Citus copies all day bars to join them
bars as materialized (
    select
        b.trade_date,
        b.code,
        b.volume_shares,
        b.volume_unit
    from newest_days as d
    inner join lateral (
        select
            k.trade_date,
            k.code,
            k.volume_shares,
            k.volume_unit,
            k.is_final
        from {{ ref('stg_tdx__kline_daily') }} as k
        where k.trade_date = d.trade_date
        order by k.code
        offset 0
    ) as b on true
    where b.is_final
),

days as (
    select
        b.trade_date,
        b.code,
        c.dataset,
        coalesce(m.minute_count, 0) as minute_count,
        m.source_minutes,
        m.volume_shares,
        b.volume_shares as day_volume_shares,
        m.source_minutes = 5
        and m.minute_count >= 239
        and not m.is_final
        and abs(m.volume_shares - b.volume_shares)
        > {{ volume_tolerance('b.volume_shares', 'b.volume_unit') }}
        -- these boards trade after 15:00, which no minute shows
        and not (
            {{ board('b.code') | indent(12) }} in ('star', 'chinext')
            and m.volume_shares < b.volume_shares
        ) as misses_volume
    from bars as b
    inner join codes as c on b.code = c.code
    left join minutes as m on b.code = m.code and b.trade_date = m.trade_date
)

-- the source merges 13:01 into the bar before noon on many days: 239 are complete
select
    'incomplete_minutes' as check_name,
    'warning' as severity,
    dataset as subject,
    trade_date,
    format(
        '%s of %s codes with fewer than 239 minutes, such as %s with %s',
        count(*) filter (where minute_count < 239), count(*),
        (array_agg(code order by code) filter (where minute_count < 239))[1],
        (array_agg(minute_count order by code) filter (where minute_count < 239))[1]
    ) as evidence
from days
group by trade_date, dataset
having count(*) filter (where minute_count < 239) > 0
union all
-- minutes of other days are final as they are, once they were requested again
select
    'minutes_miss_volume' as check_name,
    'warning' as severity,
    'minute_5m' as subject,
    trade_date,
    format(
        '%s of %s codes whose bars do not sum to the day bar, such as %s with %s of %s shares',
        count(*) filter (where misses_volume), count(*),
        min(code) filter (where misses_volume),
        (array_agg(volume_shares order by code) filter (where misses_volume))[1],
        (array_agg(day_volume_shares order by code) filter (where misses_volume))[1]
    ) as evidence
from days
where source_minutes = 5
group by trade_date
having count(*) filter (where misses_volume) > 0
