-- the newest day of each contract: what was wrong long ago is no news
with newest as (
    select distinct on (contract) *
    from {{ ref('contract_daily_terms') }}
    order by contract asc, trading_day desc
)

select
    'terms_of_other_day' as check_name,
    'warning' as severity,
    t.contract as subject,
    t.trading_day as trade_date,
    format(
        'the quote has a settlement price of %s for %s, but the source has %s: limits and margin '
        'may belong to another day; fix: check them with the exchange',
        trim_scale(t.prev_settlement_price), d.prev_trading_day, trim_scale(s.settlement_price)
    ) as evidence
from newest as t
inner join {{ ref('int_futures_days__neighbours') }} as d on t.trading_day = d.trading_day
inner join {{ ref('stg_tq__settlement') }} as s
    on t.contract = s.contract and d.prev_trading_day = s.trading_day
where t.prev_settlement_price <> s.settlement_price
