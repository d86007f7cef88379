{{ config(
    materialized='incremental',
    unique_key=[
        'symbol', 'trade_date', 'rollup_source_view', 'sample_time', 'trading_class', 'expiry',
    ],
    indexes=[{'columns': ['trade_date']}],
    meta={
        'entity': 'symbol',
        'by': 'trade_date',
        'follows': {
            'raw_ib.chain_snapshot': 'day',
            'raw_ib.chain_close': 'day',
            'raw_ib.session': 'day',
            'raw_ib.former_contract': 'code',
        },
        'settings': ['ib_risk_free_rate', 'ib_dividend_yield', 'ib_slot_window_minutes'],
        'keeps': "stored.rollup_source_view = 'intraday' and not exists (
            select 1 from raw_ib.chain_snapshot as k
            where k.symbol = stored.symbol and k.trade_date = stored.trade_date
        )",
    },
) }}

{%- set chain = 'symbol, trade_date, rollup_source_view, sample_time, trading_class, expiry' %}

with rates as (
    select
        {{ setting('ib_risk_free_rate', 0.04) | indent }}::double precision as rate,
        {{ setting('ib_dividend_yield', 0) | indent }}::double precision as yield
),

quotes as (
    select * from {{ changed(ref('int_option_quotes__valued')) }}
),

chains as (
    select
        {{ chain }},
        bool_or(is_american) as is_american,
        min(years) as years,
        percentile_cont(0.5) within group (order by spot) as spot,
        percentile_cont(0.5) within group (order by pv_dividend::double precision) filter (
            where pv_dividend >= 0
        ) as pv_dividend
    from quotes
    group by {{ chain }}
),

-- call and put of one strike, both with bid and ask
pairs as (
    select
        {{ chain }},
        strike::double precision as strike,
        max(mid) filter (where option_right = 'C')::double precision as call_price,
        max(mid) filter (where option_right = 'P')::double precision as put_price,
        avg(spot) as spot
    from quotes
    where bid > 0
    group by {{ chain }}, strike
),

-- the five strikes closest to the forward, where call and put cost the same
near_pairs as (
    select
        p.*,
        c.is_american,
        c.years,
        r.rate * c.years as r,
        row_number() over (
            partition by
                p.symbol, p.trade_date, p.rollup_source_view, p.sample_time, p.trading_class,
                p.expiry
            order by abs(p.call_price - p.put_price), p.strike
        ) as nearness
    from pairs as p
    inner join chains as c
        on
            p.symbol = c.symbol
            and p.trade_date = c.trade_date
            and p.rollup_source_view = c.rollup_source_view
            and p.sample_time = c.sample_time
            and p.trading_class = c.trading_class
            and p.expiry = c.expiry
    cross join rates as r
    where abs(p.call_price - p.put_price) <= 0.1 * p.strike
),

-- Parity holds for European prices. What early exercise is worth follows from a volatility and a
-- forward, so the forward is taken once without it and then twice more.
implied as (
    select
        p.*,
        pass_2.forward,
        pass_2.deviation,
        pass_2.call_premium,
        pass_2.put_premium
    from near_pairs as p
    {{ parity_passes() | indent }}
    where p.nearness <= 5
),

parities as (
    select
        {{ chain }},
        count(*) as pair_count,
        percentile_cont(0.5) within group (order by spot) as spot,
        percentile_cont(0.5) within group (order by forward / coalesce(spot, 1)) as ratio,
        percentile_cont(0.5) within group (order by deviation / sqrt(years)) as iv_of_pairs,
        percentile_cont(0.5) within group (order by put_premium - call_premium) as early_exercise,
        percentile_cont(0.5) within group (
            order by (put_premium + call_premium) / (0.4 * strike * sqrt(years))
        ) as premium_iv
    from implied
    where forward > 0
    group by {{ chain }}
),

valued as (
    select
        c.*,
        r.rate,
        coalesce(p.pair_count, 0)::integer as pair_count,
        coalesce(p.spot, c.spot) as chain_spot,
        case
            when p.ratio > 0 then 'parity'
            when c.spot > c.pv_dividend then 'pv_dividend'
            else 'rate'
        end as method,
        case
            when p.ratio > 0 then p.ratio * coalesce(p.spot, 1)
            when c.spot > c.pv_dividend then (c.spot - c.pv_dividend) * exp(r.rate * c.years)
            else c.spot * exp((r.rate - r.yield) * c.years)
        end as forward,
        p.iv_of_pairs,
        p.early_exercise,
        p.premium_iv
    from chains as c
    cross join rates as r
    left join parities as p
        on
            c.symbol = p.symbol
            and c.trade_date = p.trade_date
            and c.rollup_source_view = p.rollup_source_view
            and c.sample_time = p.sample_time
            and c.trading_class = p.trading_class
            and c.expiry = p.expiry
)

select
    symbol,
    trade_date,
    rollup_source_view,
    sample_time,
    trading_class,
    expiry,
    expiry - trade_date as dte,
    years,
    chain_spot::numeric(18, 6) as underlying_price,
    forward::numeric(18, 6) as forward,
    rate,
    (chain_spot - forward * exp(-rate * years))::numeric(18, 6) as pv_dividend,
    rate - ln(forward / chain_spot) / years as dividend_yield,
    method,
    pair_count,
    iv_of_pairs,
    early_exercise::numeric(18, 6) as early_exercise,
    {{ merged_flags("'{}'::text[]", {
        'few_pairs': 'pair_count between 1 and 2',
        'no_pairs': 'pair_count = 0',
        'no_dividend': "method = 'rate'",
        'american_premium': 'premium_iv > 0.0005',
    }) | indent }} as data_quality_flag
from valued
-- what its type can hold
where forward between 0.000001 and 1000000000
