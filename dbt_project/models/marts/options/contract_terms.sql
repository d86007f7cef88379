with former as (
    select * from {{ ref('stg_ib__former_contract') }}
),

changes as (
    select
        conid,
        max(valid_to) as last_changed
    from former
    group by conid
)

select
    conid,
    valid_from,
    valid_to,
    symbol,
    trading_class,
    expiry,
    strike,
    option_right,
    multiplier,
    local_symbol,
    is_adjusted
from former
union all
select
    k.conid,
    coalesce(c.last_changed, date '1900-01-01') as valid_from,
    null::date as valid_to,
    k.symbol,
    k.trading_class,
    k.expiry,
    k.strike,
    k.option_right,
    k.multiplier,
    k.local_symbol,
    k.is_adjusted
from {{ ref('stg_ib__contract') }} as k
left join changes as c on k.conid = c.conid
