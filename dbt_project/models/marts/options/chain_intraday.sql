-- A view over the landed table, without a CTE: a day or a symbol is read by its index.
select
    q.symbol,
    q.trade_date,
    q.sample_time,
    q.slot_30m,
    q.slot_label,
    q.conid,
    {{ contract_columns('q') }},
    {{ price_columns('q') }},
    q.volume_contracts,
    q.iv,
    q.iv_bid,
    q.iv_ask,
    q.delta,
    q.gamma,
    q.vega,
    q.theta,
    q.opt_price_model,
    q.pv_dividend,
    q.und_price,
    q.und_bid,
    q.und_ask,
    q.und_last,
    q.und_quote_at,
    q.underlying_price,
    (q.underlying_price / nullif({{ contract_term('strike') }}, 0) - 1)::numeric(18, 6)
        as moneyness,
    q.market_data_type,
    q.requested_data_type,
    q.greeks_source,
    q.captured_at,
    q.asof_at,
    q.capture_lag_s,
    q.snapshot_error,
    q.error_type,
    q.error_code,
    q.error_message,
    {{ merged_flags('q.data_quality_flag', {
        'adjusted_contract': contract_term('is_adjusted'),
        'wide_spread': 'q.ask - q.bid > 0.5 * q.mid and q.mid > 0.10',
        'volume_reset': 'q.volume_contracts < q.volume_before',
    }) }} as data_quality_flag,
    q.ingest_id,
    q.ingest_run_type,
    q.source
from (
    select
        s.*,
        {{ option_mid('s') | indent }} as mid,
        {{ underlying_price('s') | indent }} as underlying_price,
        lag(s.volume_contracts)
            over (partition by s.symbol, s.trade_date, s.conid order by s.sample_time)
            as volume_before
    from {{ ref('stg_ib__chain_snapshot') }} as s
) as q
left join {{ ref('stg_ib__contract') }} as k on q.conid = k.conid
{{ former_terms_joined('q') }}
