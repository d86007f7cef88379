with days as (
    select * from {{ ref('int_main_contracts__of_days') }}
),

contracts as (
    select
        *,
        100 * delivery_year::bigint + delivery_month as delivery
    from {{ ref('stg_tq__contract') }}
),

-- the count of days with a contract is constant within a stretch without one, and only there
listed as (
    select
        *,
        count(underlying_contract) over (partition by variety order by trading_day) as listed_count
    from days
    where is_chosen
),

unlisted as (
    select
        'unlisted_days' as check_name,
        case when listed_count = 0 then 'info' else 'warning' end as severity,
        variety as subject,
        min(trading_day) as trade_date,
        format(
            '%s without a main contract (latest %s)%s',
            {{ say_count('trading day') }}, max(trading_day),
            case when listed_count > 0 then '; fix: loaders run tq --mode mapping' else '' end
        ) as evidence
    from listed
    where underlying_contract is null
    group by variety, listed_count
),

routes_differ as (
    select
        'main_routes_differ' as check_name,
        'warning' as severity,
        c.variety as subject,
        min(c.trading_day) as trade_date,
        format(
            '%s (latest %s): %s by route %s, %s by route %s; fix: loaders run tq --mode '
            'cross-check', {{ say_count('trading day') }}, max(c.trading_day),
            coalesce(c.underlying_contract, 'none'), c.route,
            coalesce(o.underlying_contract, 'none'), o.route
        ) as evidence
    from days as c
    inner join days as o on c.variety = o.variety and c.trading_day = o.trading_day
    where
        c.is_chosen
        and not o.is_chosen
        and c.underlying_contract is distinct from o.underlying_contract
    group by c.variety, c.route, c.underlying_contract, o.route, o.underlying_contract
),

segment_days as (
    select
        s.*,
        c.variety as contract_variety,
        c.expire_date,
        c.delivery,
        p.delivery as prev_delivery
    from {{ ref('main_segments') }} as s
    inner join contracts as c on s.underlying_contract = c.contract
    left join contracts as p on s.is_switch and s.prev_contract = p.contract
),

other_variety as (
    select
        'contract_of_other_variety' as check_name,
        'error' as severity,
        variety as subject,
        first_trading_day as trade_date,
        format(
            'the main contract %s belongs to %s; fix: loaders run tq --mode mapping',
            underlying_contract, contract_variety
        ) as evidence
    from segment_days
    where variety <> contract_variety
),

expired as (
    select
        'expired_contract' as check_name,
        'error' as severity,
        variety as subject,
        greatest(first_trading_day, expire_date + 1) as trade_date,
        format(
            '%s expired on %s, but is the main contract up to %s; fix: loaders run tq --mode '
            'mapping', underlying_contract, expire_date, last_trading_day
        ) as evidence
    from segment_days
    where expire_date < last_trading_day
),

backwards as (
    select
        'delivery_backwards' as check_name,
        'warning' as severity,
        variety as subject,
        first_trading_day as trade_date,
        format(
            'rolls from %s to %s, which has an earlier delivery month; fix: compare the other '
            'route with loaders run tq --mode cross-check', prev_contract, underlying_contract
        ) as evidence
    from segment_days
    where delivery < prev_delivery
),

-- up to the newest day bar of any contract of the variety
settled as (
    select
        c.variety,
        max(b.trading_day) as last_day
    from {{ ref('stg_tq__contract_daily') }} as b
    inner join contracts as c on b.contract = c.contract
    where b.is_final
    group by c.variety
),

without_bar as (
    select
        'main_without_day_bar' as check_name,
        'warning' as severity,
        s.variety as subject,
        min(s.trading_day) as trade_date,
        format(
            '%s without a day bar for %s (latest %s), so missing ticks cannot be detected; fix: '
            'loaders run tq --mode mapping',
            {{ say_count('trading day') }}, s.underlying_contract, max(s.trading_day)
        ) as evidence
    from {{ ref('main_schedule') }} as s
    inner join settled as d on s.variety = d.variety and s.trading_day <= d.last_day
    left join {{ ref('stg_tq__contract_daily') }} as b
        on s.underlying_contract = b.contract and s.trading_day = b.trading_day
    where b.contract is null
    group by s.variety, s.underlying_contract
),

-- the two rules differ by some days at each roll
by_oi as (
    select
        s.variety,
        s.trading_day,
        s.segment_id,
        s.underlying_contract,
        s.underlying_contract = o.underlying_contract as is_same
    from {{ ref('main_schedule') }} as s
    inner join {{ ref('main_schedule_by_oi') }} as o
        on s.variety = o.variety and s.trading_day = o.trading_day
),

agreement as (
    select
        'main_by_oi' as check_name,
        'info' as severity,
        variety as subject,
        null::date as trade_date,
        format(
            '%s of %s trading days have the contract with the highest open interest',
            count(*) filter (where is_same), count(*)
        ) as evidence
    from by_oi
    group by variety
    having not bool_and(is_same)
),

never_leading as (
    select
        'main_never_by_oi' as check_name,
        'warning' as severity,
        variety as subject,
        min(trading_day) as trade_date,
        format(
            '%s is the main contract for %s trading days (latest %s), but never has the highest '
            'open interest; fix: compare the other route with loaders run tq --mode cross-check',
            underlying_contract, count(*), max(trading_day)
        ) as evidence
    from by_oi
    group by variety, segment_id, underlying_contract
    having count(*) >= 5 and not bool_or(is_same)
)

select * from unlisted
union all
select * from routes_differ
union all
select * from other_variety
union all
select * from expired
union all
select * from backwards
union all
select * from agreement
union all
select * from never_leading
union all
select * from without_bar
