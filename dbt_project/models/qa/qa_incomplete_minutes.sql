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
        k.bar_count as minute_count,
        k.volume_shares,
        k.is_final,
        k.source_minutes
    from newest_days as d
    {{ joined_by_day(ref('int_minutes__days')) | indent }}
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
        b.volume_unit,
        b.volume_flag
    from newest_days as d
    inner join lateral (
        select
            k.trade_date,
            k.code,
            k.volume_shares,
            k.volume_unit,
            k.volume_flag,
            k.is_final
        from {{ ref('stg_tdx__kline_daily') }} as k
        where k.trade_date = d.trade_date
        order by k.code
        offset 0
    ) as b on true
    where b.is_final
),

compared as (
    select
        b.trade_date,
        b.code,
        c.dataset,
        coalesce(m.minute_count, 0) as minute_count,
        m.source_minutes,
        m.volume_shares,
        b.volume_shares as day_volume_shares,
        m.volume_shares - b.volume_shares as excess,
        -- what hands may lack of the shares of each minute
        case when m.source_minutes = 1 then 100 * m.minute_count else 0 end as cut_off,
        {{ volume_tolerance(
            'b.volume_shares', 'case when m.source_minutes = 5 then b.volume_unit else 100 end'
        ) | indent(8) }} as tolerance,
        -- minutes are final as they are, once they were requested again; a file's then fit
        m.minute_count >= 239 and (m.source_minutes = 1) = m.is_final as is_judged,
        -- these boards trade more after 15:00, which no minute shows
        {{ board('b.code') | indent(8) }} in ('star', 'chinext') as may_lack,
        {{ unit_note(
            "case b.volume_flag when 'unreliable' then 'the day bar counts in another unit' "
            ~ "else 'its minutes count in another unit' end",
            'm.volume_shares', 'b.volume_shares', 'b.volume_shares',
        ) | indent(8) }} as unit_note
    from bars as b
    inner join codes as c on b.code = c.code
    left join minutes as m on b.code = m.code and b.trade_date = m.trade_date
),

-- Of minutes from the service more than 5 % have to be missing, as of any other answer; of all bars
-- since shares and funds of all boards trade after 15:00.
days as (
    select
        *,
        is_judged
        and (
            excess > tolerance
            or unit_note <> ''
            or (
                not may_lack
                and excess + cut_off
                < case
                    when source_minutes = 1 or trade_date >= date '2026-07-06'
                        then -0.05 * day_volume_shares
                    else -tolerance
                end
            )
        ) as misses_volume
    from compared
)

-- the source merges 13:01 into the bar before noon on many days: 239 are complete
select
    'incomplete_minutes' as check_name,
    'warning' as severity,
    dataset as subject,
    trade_date,
    format(
        '%s of %s codes have fewer than 239 minutes, such as %s with %s; fix: %s',
        count(*) filter (where minute_count < 239), count(*),
        (array_agg(code order by code) filter (where minute_count < 239))[1],
        (array_agg(minute_count order by code) filter (where minute_count < 239))[1],
        case dataset
            when 'minute_5m' then 'download them in the client, then quotemill run tdx'
            else 'loaders run tdx --dataset minute_1m --date ' || trade_date
        end
    ) as evidence
from days
group by trade_date, dataset
having count(*) filter (where minute_count < 239) > 0
union all
-- the first of those in another unit, else the first
select
    'minutes_miss_volume' as check_name,
    'warning' as severity,
    dataset as subject,
    trade_date,
    format(
        '%s of %s codes have minutes that do not add up to the day bar, such as %s; fix: %s',
        count(*) filter (where misses_volume), count(*),
        (
            array_agg(
                format(
                    '%s with %s of %s shares%s', code, volume_shares, day_volume_shares, unit_note
                )
                order by unit_note = '', code
            ) filter (where misses_volume)
        )[1],
        case dataset
            when 'minute_5m'
                then 'download minutes and day bars in the client, then quotemill run tdx'
            else 'loaders run tdx --since ' || trade_date
        end
    ) as evidence
from days
where source_minutes is not null
group by trade_date, dataset
having count(*) filter (where misses_volume) > 0
