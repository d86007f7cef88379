-- reads {options}.chain_daily_clean
select
    c.symbol as underlying_symbol,
    coalesce(c.underlying_close, c.underlying_price)::double precision as underlying_price,
    lower(c.option_right) as option_type,
    c.expiry::timestamp as expiration,
    c.trade_date::timestamp as quote_date,
    c.strike::double precision as strike,
    c.bid::double precision as bid,
    c.ask::double precision as ask,
    c.delta,
    c.gamma,
    c.theta,
    c.vega,
    c.volume_contracts as volume,
    -- the format has no flag of what may be of the session before
    case when not 'oi_stale' = any(c.data_quality_flag) then c.open_interest end as open_interest
from {options}.chain_daily_clean as c
where
    not c.is_adjusted
    and c.bid is not null
    and c.ask is not null
    and coalesce(c.underlying_close, c.underlying_price) is not null
