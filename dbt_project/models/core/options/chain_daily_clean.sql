{{ config(
    materialized='followed',
    unique_key=['symbol', 'trade_date', 'conid'],
    indexes=[{'columns': ['trade_date']}],
    meta={
        'entity': 'symbol',
        'by': 'trade_date',
        'follows': tables_of_quotes({
            'raw_ib.session_contract': 'day',
            'raw_ib.open_interest': 'day',
            'raw_ib.enrichment': 'from_day',
            'forwards': 'day',
        }),
        'keeps': "(stored.slots_seen > 0 or stored.underlying_close_source = 'intraday') and "
            ~ slots_are_deleted(),
    },
) }}

with quotes as (
    select
        *,
        rollup_source_view = 'intraday' and is_good and is_on_time as is_of_slot
    from {{ changed(ref('int_option_quotes__ranked')) }}
),

checks as materialized (
    select * from {{ changed(ref('int_option_days__compared')) }}
),

planned as (
    select * from {{ changed(ref('stg_ib__session_contract')) }}
),

contract_days as (
    select
        symbol,
        trade_date,
        conid,
        max(volume_contracts) filter (where is_on_time) as volume_contracts,
        (count(*) filter (where is_of_slot))::integer as slots_seen,
        max(mid) filter (where is_of_slot) as mid_high,
        min(mid) filter (where is_of_slot) as mid_low,
        (array_agg(mid order by sample_time) filter (where is_of_slot and mid is not null))[1]
            as mid_first,
        (array_agg(mid order by sample_time desc) filter (where is_of_slot and mid is not null))[1]
            as mid_last,
        max(bid) filter (where is_close_slot and is_of_slot) as close_slot_bid,
        max(ask) filter (where is_close_slot and is_of_slot) as close_slot_ask
    from quotes
    group by symbol, trade_date, conid
),

-- One close of the underlying for all of its contracts: its last trade by the first quote of the
-- last slot, since stocks trade on until the close view is captured.
underlying_days as (
    select distinct on (symbol, trade_date)
        symbol,
        trade_date,
        coalesce(und_last, underlying_price) as underlying_close,
        rollup_source_view as underlying_close_source
    from quotes
    where is_on_time and coalesce(und_last, underlying_price) is not null
    order by
        symbol asc, trade_date asc,
        case when rung = 1 and rollup_source_view = 'intraday' then captured_at end asc nulls last,
        rollup_source_view asc, sample_time desc, captured_at desc, conid asc
),

sessions as (
    select
        trade_date,
        slot_count,
        lag(trade_date) over (order by trade_date) as previous_trade_date,
        lead(open_at) over (order by trade_date) as next_open_at
    from {{ ref('stg_ib__session') }}
)

select
    c.symbol,
    c.trade_date,
    c.conid,
    {{ contract_columns('c') }},
    coalesce({{ contract_term('is_adjusted') }}, false) as is_adjusted,
    {{ price_columns('c') }},
    d.volume_contracts,
    o.open_interest,
    o.oi_asof_date,
    c.iv,
    c.iv_bid,
    c.iv_ask,
    v.iv_from_mid,
    c.delta,
    c.gamma,
    c.vega,
    c.theta,
    c.opt_price_model,
    c.pv_dividend,
    c.underlying_price,
    u.underlying_close,
    u.underlying_close_source,
    (u.underlying_close / nullif({{ contract_term('strike') }}, 0) - 1)::numeric(18, 6)
        as moneyness,
    v.parity_gap,
    d.mid_first,
    d.mid_high,
    d.mid_low,
    d.mid_last,
    d.slots_seen,
    d.close_slot_bid,
    d.close_slot_ask,
    c.market_data_type,
    c.greeks_source,
    c.captured_at,
    c.asof_at,
    c.capture_lag_s,
    c.sample_time as rollup_source_time,
    -- the close view is no slot: the number of the one whose time it has
    coalesce(c.slot_30m, n.slot_count - 1)::integer as rollup_source_slot,
    c.rollup_source_view,
    case c.rung
        when 1 then 'close'
        when 2 then 'slot_' || replace(c.slot_label, ':', '')
        else 'last_good'
    end as rollup_strategy,
    {{ merged_flags('c.data_quality_flag', {
        'adjusted_contract': contract_term('is_adjusted'),
        'volume_reset': 'c.volume_contracts < d.volume_contracts',
        'wide_spread': 'c.ask - c.bid > 0.5 * c.mid and c.mid > 0.10',
        'missing_oi': 'o.conid is null',
        'oi_stale': "o.is_final is false or o.conid is null and e.last_status = 'stale'",
        'oi_late': 'o.captured_at >= n.next_open_at',
        'ref_price_stale': 'p.ref_price_date < n.previous_trade_date',
        'oi_enrichment_failed': 'o.conid is null and e.is_failed',
        'iv_mismatch': 'v.is_iv_mismatch',
        'parity_violation': 'v.is_parity_violation',
        'butterfly_violation': 'v.is_butterfly_violation',
        'calendar_violation': 'v.is_calendar_violation',
    }) | indent }} as data_quality_flag,
    c.ingest_id,
    c.source,
    v.forward,
    v.iv_from_bid,
    v.iv_from_ask,
    v.iv_flag
from quotes as c
-- Each has one. An inner join by three columns is planned as one row, and all further joins as
-- loops over all rows for each row.
left join contract_days as d
    on c.symbol = d.symbol and c.trade_date = d.trade_date and c.conid = d.conid
left join underlying_days as u on c.symbol = u.symbol and c.trade_date = u.trade_date
left join {{ ref('stg_ib__contract') }} as k on c.conid = k.conid
{{ former_terms_joined('c') }}
left join {{ ref('stg_ib__open_interest') }} as o
    on c.conid = o.conid and c.trade_date = o.oi_asof_date
left join {{ ref('int_option_enrichment__outcomes') }} as e
    on c.symbol = e.symbol and c.trade_date = e.trade_date
left join sessions as n on c.trade_date = n.trade_date
left join planned as p
    on c.symbol = p.symbol and c.trade_date = p.trade_date and c.conid = p.conid
left join checks as v
    on c.symbol = v.symbol and c.trade_date = v.trade_date and c.conid = v.conid
where c.is_day_quote
