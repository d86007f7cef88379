-- A view without a CTE over the landed quotes: filter by underlying_symbol and quote_date.
select
    q.symbol as underlying_symbol,
    q.trade_date as quote_date,
    case when q.is_on_time then q.sample_time else q.captured_at end as quote_datetime,
    {{ contract_term('trading_class') }} as root,
    {{ contract_term('expiry') }} as expiration,
    {{ contract_term('strike') }} as strike,
    case k.option_right when 'C' then 'call' else 'put' end as option_type,
    q.bid,
    q.ask,
    q.bid_size,
    q.ask_size,
    q.last,
    q.volume_contracts as volume,
    o.open_interest,
    q.iv as implied_volatility,
    q.delta,
    q.gamma,
    q.theta,
    q.vega,
    q.underlying_price,
    {{ contract_term('expiry') }} - q.trade_date as dte,
    {{ contract_term('multiplier') }} as multiplier,
    {{ contract_term('local_symbol') }} as option_symbol,
    q.conid,
    q.captured_at,
    q.is_on_time,
    o.oi_asof_date,
    q.source
from (
    {{ captured_quotes() | indent }}
) as q
inner join {{ ref('stg_ib__contract') }} as k on q.conid = k.conid
{{ former_terms_joined('q') }}
-- the newest that had been read by then: of the session before, or older
left join lateral (
    select
        i.open_interest,
        i.oi_asof_date
    from {{ ref('stg_ib__open_interest') }} as i
    where i.conid = q.conid and i.captured_at <= q.captured_at
    order by i.oi_asof_date desc
    limit 1
) as o on true
where
    q.is_good
    and q.captured_at
    <= coalesce(nullif(current_setting('quotemill.as_of', true), '')::timestamptz, 'infinity')
