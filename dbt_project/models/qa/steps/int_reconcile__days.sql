-- materialized: else Citus copies all day bars and days of ticks to join them
with days as materialized (
    {{ sample_rows(ref('stg_tdx__kline_daily')) | indent }}
),

minutes as (
    {{ sample_minutes(ref('stg_tdx__kline_minute')) | indent }}
),

ticks as materialized (
    {{ sample_rows(ref('int_ticks__days')) | indent }}
),

parts as (
    select
        'day_of_minutes' as check_name,
        'minute1' as period,
        code,
        trade_date,
        count(*)::integer as part_count,
        {{ folded_bars('bar_end') | indent }},
        sum(volume_unit - 1)::integer as cut_off,
        bool_or(volume_flag in ('repaired', 'unreliable')) as has_odd_volume,
        bool_or(is_price_only) as is_price_only,
        bool_and(is_final) as is_final
    from minutes
    group by code, trade_date
    union all
    select
        'day_of_ticks' as check_name,
        'tick' as period,
        code,
        trade_date,
        tick_count as part_count,
        first_price as open,
        high,
        low,
        last_price as close,
        volume_shares,
        null::numeric as amount_cny,
        null::integer as cut_off,
        false as has_odd_volume,
        false as is_price_only,
        is_final
    from ticks
),

-- a day without parts is a gap where its neighbours have some
spans as (
    select
        code,
        check_name,
        period,
        min(trade_date) as first_date,
        max(trade_date) as last_date
    from parts
    group by code, check_name, period
),

compared as (
    select
        d.run_id,
        d.code,
        d.trade_date,
        s.check_name,
        s.period,
        coalesce(p.part_count, 0) as part_count,
        coalesce(p.has_odd_volume, false) or d.volume_flag <> 'ok' as has_odd_volume,
        coalesce(p.is_price_only, false) as is_price_only,
        coalesce(p.is_final, true) and d.is_final as is_final,
        d.volume_shares,
        p.volume_shares as part_volume_shares,
        f.field,
        f.ours,
        f.theirs,
        f.tolerance
    from days as d
    inner join spans as s on d.code = s.code and d.trade_date between s.first_date and s.last_date
    left join parts as p
        on
            s.code = p.code
            and s.check_name = p.check_name
            and d.trade_date = p.trade_date
    cross join lateral (
        values
        ('bar', (p.code is not null)::integer, 1, 0),
        ('open', p.open, d.open, 0),
        ('high', p.high, d.high, 0),
        ('low', p.low, d.low, 0),
        ('close', p.close, d.close, 0),
        (
            'volume_shares', p.volume_shares,
            case s.period when 'tick' then d.volume_shares / 100 * 100 else d.volume_shares end,
            case s.period
                when 'tick' then {{ tick_tolerance('d.code', 'd.volume_shares', 'p.part_count') }}
                else {{ volume_tolerance('d.volume_shares', 'd.volume_unit') }} + p.cut_off
            end
        ),
        ('amount_cny', p.amount_cny, d.amount_cny, 0.0001 * d.amount_cny)
    ) as f (field, ours, theirs, tolerance)
)

select
    run_id,
    check_name,
    code,
    period,
    trade_date,
    (trade_date + time '15:00') at time zone 'Asia/Shanghai' as bar_end,
    field,
    ours,
    theirs,
    case
        when not is_final then 'unfinished_bar'
        when part_count = 0 and period = 'tick' then 'missing_ticks'
        when period = 'minute1' and part_count < 240 then 'missing_minutes'
        when is_price_only and field in ('open', 'high', 'low', 'amount_cny')
            then 'price_only_minutes'
        when field = 'volume_shares' and has_odd_volume then 'small_volume_decoding'
        when
            period = 'tick'
            and volume_shares - part_volume_shares
            > {{ tick_tolerance('code', 'volume_shares', 'part_count') }}
            then 'missing_ticks'
        else 'unexplained'
    end as likely_cause,
    format(
        '%s %s stored; allowed: %s',
        part_count,
        case period when 'tick' then 'ticks' else 'of 240 minutes' end,
        round(coalesce(tolerance, 0), 3)
    ) as evidence,
    abs(ours - theirs) > tolerance as is_different
from compared
where ours is not null and theirs is not null
