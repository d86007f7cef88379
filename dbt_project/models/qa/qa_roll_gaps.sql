with unknown_gaps as (
    select
        'roll_gap_unknown' as check_name,
        'warning' as severity,
        variety as subject,
        trading_day as trade_date,
        format(
            'no close for both %s and %s before this roll: in futures.main_daily back-adjusted '
            'prices are null before it, and forward-adjusted prices from it on; fix: loaders run '
            'tq --mode mapping, unless they never traded on the same day',
            prev_contract, underlying_contract
        ) as evidence
    from {{ ref('roll_gaps') }}
    where price_step is null
),

-- a price that the source does not have is a row without one
without_settlement as (
    select
        'settlement_missing' as check_name,
        'warning' as severity,
        s.variety as subject,
        min(s.trading_day) as trade_date,
        format(
            '%s without a settlement price (latest %s); fix: loaders run tq --mode mapping',
            {{ say_count('trading day') }}, max(s.trading_day)
        ) as evidence
    from {{ ref('main_schedule') }} as s
    inner join {{ ref('stg_tq__contract_daily') }} as b
        on s.underlying_contract = b.contract and s.trading_day = b.trading_day and b.is_final
    left join {{ ref('stg_tq__settlement') }} as p
        on s.underlying_contract = p.contract and s.trading_day = p.trading_day
    where
        p.contract is null
        and s.trading_day >= date '2020-01-02'
        and s.trading_day < (select max(n.trading_day) - 10 from {{ ref('main_schedule') }} as n)
    group by s.variety
)

select * from unknown_gaps
union all
select * from without_settlement
