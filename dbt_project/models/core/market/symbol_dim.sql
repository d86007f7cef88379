{{ config(
    materialized='followed',
    unique_key=['code'],
) }}

select
    s.code,
    s.exchange,
    s.name,
    s.instrument_type,
    s.price_decimals,
    case
        when s.instrument_type = 'stock' then {{ stock_currency('s.code') }} else 'CNY'
    end as currency,
    s.is_listed,
    d.first_trade_date,
    l.last_trade_date,
    d.list_date,
    d.list_date_basis,
    case when not s.is_listed then l.last_trade_date end as delist_date,
    coalesce(n.new_code, s.code) as current_code,
    o.old_code as former_code
from {{ ref('stg_tdx__security') }} as s
left join {{ ref('int_listings__dated') }} as d on s.code = d.code
left join {{ ref('code_changes') }} as n on s.code = n.old_code
left join lateral (
    select c.old_code from {{ ref('code_changes') }} as c
    where c.new_code = s.code order by c.valid_from desc, c.old_code desc limit 1
) as o on true
-- one index scan per code; an aggregate would read every bar
left join lateral (
    select b.trade_date as last_trade_date from {{ ref('stg_tdx__kline_daily') }} as b
    where b.code = s.code order by b.trade_date desc limit 1
) as l on true
