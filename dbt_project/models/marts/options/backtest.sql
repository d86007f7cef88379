-- A view over the landed quotes without a CTE, so that a filter by underlying_symbol and quote_date
-- reaches their index. Only the window of a slot is an inner query, and both are of its partition.
select
    q.symbol as underlying_symbol,
    q.trade_date as quote_date,
    q.quote_datetime,
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
    q.und_bid as underlying_bid,
    q.und_ask as underlying_ask,
    {{ contract_term('expiry') }} - q.trade_date as dte,
    {{ contract_term('multiplier') }} as multiplier,
    {{ contract_term('is_adjusted') }} as is_adjusted,
    {{ contract_term('local_symbol') }} as option_symbol,
    q.conid,
    q.rollup_source_view,
    q.sample_time,
    q.captured_at,
    o.oi_asof_date,
    q.source
from (
    -- of a slot when its last quote was there, so that one moment has the whole chain
    select
        *,
        max(captured_at) over (
            partition by symbol, trade_date, rollup_source_view, sample_time
        ) as quote_datetime
    from (
        {{ captured_quotes() | indent(8) }}
    ) as captured
    where
        is_good
        and is_on_time
        and captured_at
        <= coalesce(nullif(current_setting('quotemill.as_of', true), '')::timestamptz, 'infinity')
) as q
inner join {{ ref('stg_ib__contract') }} as k on q.conid = k.conid
{{ former_terms_joined('q') }}
-- the newest that had been read by then: of the session before, or older
left join lateral (
    select
        i.open_interest,
        i.oi_asof_date
    from {{ ref('stg_ib__open_interest') }} as i
    where i.conid = q.conid and i.captured_at <= q.captured_at and i.is_final
    order by i.oi_asof_date desc
    limit 1
) as o on true
