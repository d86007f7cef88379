-- the vendor also has minutes without a trade before the first one of a day, with another price
with vendors as not materialized (
    select * from {{ ref('stg_tq__contract_minute') }}
),

vendors_days as (
    select distinct
        contract,
        trading_day
    from vendors
),

made as (
    select m.*
    from {{ ref('stg_tq__tick_minute') }} as m
    inner join vendors_days as d on m.contract = d.contract and m.trading_day = d.trading_day
),

-- a minute that only one of both has counts too, if it has a lot
minutes as (
    select
        coalesce(v.contract, m.contract) as contract,
        coalesce(v.trading_day, m.trading_day) as trading_day,
        coalesce(v.start_at, m.start_at) as start_at,
        coalesce(v.volume_lots, 0) as vendors_lots,
        coalesce(m.volume_lots, 0) as lots,
        (v.volume_lots is not distinct from m.volume_lots and v.close is not distinct from m.close)
        or (coalesce(v.volume_lots, 0) = 0 and m.close is null)
        or (v.contract is null and m.volume_lots = 0) as is_equal
    from vendors as v
    full join made as m
        on
            v.contract = m.contract
            and v.trading_day = m.trading_day
            and v.start_at = m.start_at
),

days as (
    select
        contract,
        trading_day,
        count(*) as minute_count,
        count(*) filter (where not is_equal) as differing_count,
        min(start_at) filter (where not is_equal) as first_differing,
        sum(vendors_lots) as vendors_lots,
        sum(lots) as lots
    from minutes
    group by contract, trading_day
),

differing as (
    select
        'main_minutes_differ' as check_name,
        -- a trade that comes with the next tick is one minute's or the next one's
        case
            when 100 * c.differing_count > c.minute_count then 'warning'
            when 100 * abs(c.vendors_lots - c.lots) > c.lots then 'warning'
            else 'info'
        end as severity,
        s.variety as subject,
        c.trading_day as trade_date,
        format(
            '%s: %s of %s minutes from ticks differ from the source''s own (first at %s UTC), with '
            '%s lots instead of %s; fix: loaders run tq --date %s --codes %s',
            c.contract, c.differing_count, c.minute_count,
            to_char(c.first_differing at time zone 'UTC', 'HH24:MI'), c.lots, c.vendors_lots,
            c.trading_day, s.variety
        ) as evidence
    from days as c
    inner join {{ ref('main_schedule') }} as s
        on c.contract = s.underlying_contract and c.trading_day = s.trading_day
    where c.differing_count > 0
),

-- stored ticks of the series without minutes, or with those of the ticks before a revision
not_made as (
    select
        'minutes_not_made' as check_name,
        'info' as severity,
        s.variety as subject,
        min(s.trading_day) as trade_date,
        format(
            '%s with stored ticks but no minutes from them (latest %s); fix: loaders run tq '
            '--dataset tick_minute', {{ say_count('trading day') }}, max(s.trading_day)
        ) as evidence
    from {{ ref('main_schedule') }} as s
    {{ joined_tick_days() }}
    where t.row_hash is distinct from d.row_hash or t.minute_count = 0
    group by s.variety
)

select * from differing
union all
select * from not_made
