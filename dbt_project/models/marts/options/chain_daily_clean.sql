{{ config(
    materialized='incremental',
    unique_key=['symbol', 'trade_date', 'conid'],
    indexes=[{'columns': ['trade_date']}],
    meta={
        'entity': 'symbol',
        'by': 'trade_date',
        'follows': {
            'raw_ib.chain_snapshot': 'day',
            'raw_ib.chain_close': 'day',
            'raw_ib.session_contract': 'day',
            'raw_ib.session': 'day',
            'raw_ib.open_interest': 'day',
            'raw_ib.enrichment': 'day',
        },
        'settings': ['ib_risk_free_rate', 'ib_dividend_yield'],
        'keeps': 'stored.slots_seen > 0 and not exists (
            select 1 from raw_ib.chain_snapshot as k
            where k.symbol = stored.symbol and k.trade_date = stored.trade_date
        )',
    },
) }}

{% set pair = [
    'q.symbol', 'q.trade_date', 'q.rollup_source_view', 'q.rollup_source_time', 'q.trading_class', 'q.strike'
] | join(', ') %}

with quotes as (
    select
        'close' as rollup_source_view,
        *
    from {{ changed(ref('stg_ib__chain_close')) }}
    union all
    select
        'intraday' as rollup_source_view,
        *
    from {{ changed(ref('stg_ib__chain_snapshot')) }}
),

-- the rungs of the ladder: the close by its view or its slot, the slot before, any other. What was
-- captured more than 15 minutes after the close is no close, nor what is as old as delayed data
placed as (
    select
        q.*,
        {{ option_mid('q') | indent }} as mid,
        {{ underlying_price('q') | indent }} as underlying_price,
        {{ is_good_quote('q') | indent }} as is_good,
        q.rollup_source_view = 'intraday' and q.slot_30m = s.slot_count - 1 as is_close_slot,
        case
            when
                q.rollup_source_view = 'close'
                or (
                    q.slot_30m = s.slot_count - 1
                    and q.capture_lag_s <= 900
                    and (q.market_data_type in (3, 4)) is not true
                )
                then 1
            when q.slot_30m = s.slot_count - 2 then 2
            else 3
        end as rung
    from quotes as q
    left join {{ ref('stg_ib__session') }} as s on q.trade_date = s.trade_date
),

-- within a rung two prices before one, a quote before a trade; then the view, then the latest
chosen as (
    select distinct on (symbol, trade_date, conid) *
    from placed
    where is_good
    order by
        symbol asc, trade_date asc, conid asc, rung asc,
        case when mid is not null then 0 when coalesce(bid, ask) is not null then 1 else 2 end asc,
        rollup_source_view asc, sample_time desc
),

of_contract as (
    select
        symbol,
        trade_date,
        conid,
        max(volume_contracts) as volume_contracts,
        (count(*) filter (where rollup_source_view = 'intraday' and is_good))::integer
            as slots_seen,
        max(mid) filter (where rollup_source_view = 'intraday' and is_good) as mid_high,
        min(mid) filter (where rollup_source_view = 'intraday' and is_good) as mid_low,
        (array_agg(mid order by sample_time) filter (
            where rollup_source_view = 'intraday' and is_good and mid is not null
        ))[1] as mid_first,
        (array_agg(mid order by sample_time desc) filter (
            where rollup_source_view = 'intraday' and is_good and mid is not null
        ))[1] as mid_last,
        max(bid) filter (where is_close_slot and is_good) as close_slot_bid,
        max(ask) filter (where is_close_slot and is_good) as close_slot_ask
    from placed
    group by symbol, trade_date, conid
),

-- one close of the underlying for all of its contracts: its last trade by the first quote of the
-- last slot, since stocks trade on until the view is captured
of_underlying as (
    select distinct on (symbol, trade_date)
        symbol,
        trade_date,
        coalesce(und_last, underlying_price) as underlying_close,
        rollup_source_view as underlying_close_source
    from placed
    where coalesce(und_last, underlying_price) is not null
    order by
        symbol asc, trade_date asc,
        case when rung = 1 and rollup_source_view = 'intraday' then captured_at end asc nulls last,
        rollup_source_view asc, sample_time desc, captured_at desc, conid asc
),

enrichments as (
    select
        symbol,
        trade_date,
        (array_agg(status order by attempted_at desc))[1] as last_status,
        count(distinct timezone('America/New_York', attempted_at)::date)
        filter (where status = 'failed') as failed_mornings
    from {{ ref('stg_ib__enrichment') }}
    group by symbol, trade_date
),

-- the morning of each session with those of the two before it: three in vain are a failure
mornings as (
    select
        m.symbol,
        m.trade_date,
        bool_and(m.is_in_vain) over three and count(*) over three = 3 as is_third
    from (
        select
            symbol,
            trade_date,
            bool_or(status = 'failed' or (status = 'stale' and pass <> 'first'))
            and not bool_or(status = 'complete') as is_in_vain
        from {{ ref('stg_ib__enrichment') }}
        where pass <> 'manual'
        group by symbol, trade_date
    ) as m
    window three as (
        partition by m.symbol order by m.trade_date rows between 2 preceding and current row
    )
),

openings as (
    select
        trade_date,
        lead(open_at) over (order by trade_date) as next_open_at
    from {{ ref('stg_ib__session') }}
),

rates as (
    select
        {{ setting('ib_risk_free_rate', 0.04) | indent }}::double precision as rate,
        {{ setting('ib_dividend_yield', 0) | indent }}::double precision as yield
),

-- years of 365 days, to 16:00 on expiry
timed as (
    select
        c.*,
        k.trading_class,
        k.expiry,
        k.strike,
        k.option_right,
        extract(
            epoch from (k.expiry + time '16:00') at time zone 'America/New_York' - c.sample_time
        )::double precision / 31536000 as years
    from chosen as c
    inner join {{ ref('stg_ib__contract') }} as k on c.conid = k.conid
    where c.mid > 0 and k.strike > 0 and not k.is_adjusted
),

-- by the underlying of the model's own moment; what is not above 0 is no price
valued as (
    select
        c.symbol,
        c.trade_date,
        c.conid,
        c.rollup_source_view,
        c.sample_time as rollup_source_time,
        c.trading_class,
        c.expiry,
        c.strike,
        c.option_right,
        c.bid,
        c.ask,
        c.mid,
        c.ask - c.bid as spread,
        c.iv,
        c.underlying_price,
        (
            case
                when c.und_price > 0 then c.und_price
                when c.underlying_price > 0 then c.underlying_price
            end
        )::double precision as spot,
        greatest(c.pv_dividend, 0) as pv_dividend,
        c.years,
        exp(-r.rate * c.years) as discount,
        exp(-r.yield * c.years) as growth
    from timed as c
    cross join rates as r
    where c.years > 0
),

-- the side out of the money: the other one may be worth early exercise, which the formula lacks
out_of_the_money as (
    select
        symbol,
        trade_date,
        conid,
        -abs(ln(spot * growth / discount / strike::double precision)) as x,
        mid::double precision
        / (discount * sqrt(spot * growth / discount * strike::double precision)) as b
    from valued
    where
        spot > 0
        and strike > 0
        and (option_right = 'C') = (spot * growth / discount <= strike)
),

{{ implied_volatility('out_of_the_money', ['symbol', 'trade_date', 'conid']) }},

-- neighbours among the quotes of one moment: the other right, strikes and expiries beside
compared as (
    select
        q.*,
        max(q.mid) filter (where q.option_right = 'C') over pair as call_mid,
        max(q.mid) filter (where q.option_right = 'P') over pair as put_mid,
        sum(q.spread) over pair / 2 as half_spreads,
        min(q.spot) over pair as lowest_spot,
        max(q.spot) over pair as highest_spot,
        max(q.pv_dividend) over pair as dividends,
        count(*) over pair as pair_size,
        lag(q.strike) over strip as lower_strike,
        lead(q.strike) over strip as upper_strike,
        lag(q.ask) over strip as lower_ask,
        lead(q.ask) over strip as upper_ask,
        lead(q.bid) over strip as upper_bid,
        lead(q.ask) over term as later_ask
    from valued as q
    window
        pair as (partition by {{ pair }}, q.expiry),
        strip as (
            partition by
                q.symbol, q.trade_date, q.rollup_source_view, q.rollup_source_time, q.trading_class,
                q.expiry, q.option_right
            order by q.strike
        ),
        term as (partition by {{ pair }}, q.option_right order by q.expiry)
),

-- what cannot be, however the two sides of the quotes are taken; American exercise and dividends
-- widen put-call parity to a band
checked as (
    select
        q.symbol,
        q.trade_date,
        q.conid,
        i.w / sqrt(q.years) as iv_from_mid,
        abs(i.w / sqrt(q.years) - q.iv) > greatest(
            0.02,
            0.1 * q.iv,
            -- a quote this wide says no more
            q.spread::double precision / 2 / greatest(
                q.discount * sqrt(q.spot * q.growth / q.discount * q.strike::double precision)
                * exp(i.x / 2) * {{ normal_pdf('(i.x / i.w + i.w / 2)') }} * sqrt(q.years),
                1e-9
            )
        ) as is_iv_mismatch,
        case
            when q.pair_size = 2 and abs(q.spot / q.strike::double precision - 1) <= 0.05
                then greatest(
                    0,
                    q.call_mid - q.put_mid - q.half_spreads
                    - (q.highest_spot - q.strike::double precision * q.discount),
                    q.lowest_spot - q.strike::double precision
                    - greatest(q.lowest_spot * (1 - q.growth), coalesce(q.dividends, 0))
                    - (q.call_mid - q.put_mid) - q.half_spreads
                )
        end as parity_gap,
        case q.option_right
            when 'C' then q.bid > q.spot or q.mid + q.spread < q.spot - q.strike::double precision
            else q.bid > q.strike or q.mid + q.spread < q.strike::double precision - q.spot
        end as is_out_of_bounds,
        coalesce(
            q.bid > (
                (q.upper_strike - q.strike) * q.lower_ask
                + (q.strike - q.lower_strike) * q.upper_ask
            ) / nullif(q.upper_strike - q.lower_strike, 0),
            false
        )
        or coalesce(
            case q.option_right when 'C' then q.upper_bid > q.ask else q.bid > q.upper_ask end,
            false
        ) as is_butterfly_violation,
        coalesce(q.bid > q.later_ask, false) as is_calendar_violation
    from compared as q
    left join implied as i
        on q.symbol = i.symbol and q.trade_date = i.trade_date and q.conid = i.conid
)

select
    c.symbol,
    c.trade_date,
    c.conid,
    k.local_symbol,
    k.trading_class,
    k.expiry,
    k.expiry - c.trade_date as dte,
    k.option_right,
    k.strike,
    k.multiplier,
    coalesce(k.is_adjusted, false) as is_adjusted,
    c.bid,
    c.ask,
    c.mid,
    (c.ask - c.bid)::numeric(18, 3) as spread,
    ((c.ask - c.bid) / nullif(c.mid, 0))::numeric(18, 6) as spread_pct,
    c.last,
    c.close_prev,
    c.bid_size,
    c.ask_size,
    c.last_size,
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
    (u.underlying_close / nullif(k.strike, 0) - 1)::numeric(18, 6) as moneyness,
    v.parity_gap::numeric(18, 6) as parity_gap,
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
    c.slot_30m as rollup_source_slot,
    c.rollup_source_view,
    case c.rung
        when 1 then 'close'
        when 2 then 'slot_' || replace(c.slot_label, ':', '')
        else 'last_good'
    end as rollup_strategy,
    {{ flags_with('c.data_quality_flag', {
        'adjusted_contract': 'k.is_adjusted',
        'wide_spread': 'c.ask - c.bid > 0.5 * c.mid and c.mid > 0.10',
        'missing_oi': 'o.conid is null',
        'oi_stale': "o.conid is null and e.last_status = 'stale'",
        'oi_late': 'o.captured_at >= n.next_open_at',
        'oi_enrichment_failed': 'o.conid is null and (e.failed_mornings >= 3 or m.is_third)',
        'iv_mismatch': 'v.is_iv_mismatch',
        'parity_violation': 'v.parity_gap > 0 or v.is_out_of_bounds',
        'butterfly_violation': 'v.is_butterfly_violation',
        'calendar_violation': 'v.is_calendar_violation',
    }) | indent }} as data_quality_flag,
    c.ingest_id,
    c.source
from chosen as c
inner join of_contract as d
    on c.symbol = d.symbol and c.trade_date = d.trade_date and c.conid = d.conid
left join of_underlying as u on c.symbol = u.symbol and c.trade_date = u.trade_date
left join {{ ref('stg_ib__contract') }} as k on c.conid = k.conid
left join {{ ref('stg_ib__open_interest') }} as o
    on c.conid = o.conid and c.trade_date = o.oi_asof_date
left join enrichments as e on c.symbol = e.symbol and c.trade_date = e.trade_date
left join mornings as m on c.symbol = m.symbol and c.trade_date = m.trade_date
left join openings as n on c.trade_date = n.trade_date
left join checked as v
    on c.symbol = v.symbol and c.trade_date = v.trade_date and c.conid = v.conid
