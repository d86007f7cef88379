{{ config(
    materialized='followed',
    unique_key=chain_key(),
    indexes=[{'columns': ['trade_date']}],
    meta={
        'entity': 'symbol',
        'by': 'trade_date',
        'follows': tables_of_quotes({'raw_ib.underlying_dividends': 'from_day'}),
        'keeps': "not 'late_spot' = any(stored.data_quality_flag) and " ~ slots_are_deleted(),
    },
) }}

with implied as (
    select
        *,
        case
            when
                not is_american
                and nearness <= 5
                and half_spreads <= 3 * greatest(nearest_half_spreads, 0.05)
                and distance is not null
                then strike + (call_price - put_price) * exp(rate * years)
        end as forward
    from {{ changed(ref('int_option_strikes__paired')) }}
),

chains as (
    select
        {{ chain_columns() }},
        bool_or(is_american) as is_american,
        bool_or(is_late_spot) as is_late_spot,
        min(years) as years,
        min(rate) as rate,
        min(pv_dividend) as pv_dividend,
        min(ex_dates) as ex_dates,
        min(ex_years) as ex_years,
        min(amount) as amount,
        (count(*) filter (where forward > 0))::integer as pair_count,
        count(forward) as tried_count,
        coalesce(
            percentile_cont(0.5) within group (order by spot) filter (where forward > 0), avg(spot)
        ) as spot,
        percentile_cont(0.5) within group (
            order by forward / coalesce(spot, 1)
        ) filter (where forward > 0) as ratio,
        percentile_cont(0.5) within group (
            order by half_spreads * exp(rate * years)
        ) filter (where forward > 0) as forward_error,
        percentile_cont(0.5) within group (order by {{ inner_schema() }}.implied_deviation(
            -abs(ln(forward / strike)),
            least(call_price, put_price) * exp(rate * years) / sqrt(forward * strike)
        ) / sqrt(years)) filter (where forward > 0) as iv_of_pairs
    from implied
    group by {{ chain_columns() }}
),

expected as (
    select
        *,
        coalesce(
            (select sum(amount * exp(-rate * e.ex_at)) from unnest(ex_years) as e (ex_at)), 0
        ) as pv_announced
    from chains
),

valued as (
    select
        *,
        case when ratio > 0 then 'parity' else 'pv_dividend' end as method,
        case
            when ratio > 0 then ratio * coalesce(spot, 1)
            when spot > coalesce(pv_dividend, nullif(pv_announced, 0))
                then (spot - coalesce(pv_dividend, pv_announced)) * exp(rate * years)
        end as forward,
        (spot - pv_dividend) * exp(rate * years) as usual_forward
    from expected
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
    spot::numeric(18, 6) as underlying_price,
    forward::numeric(18, 6) as forward,
    rate,
    (spot - forward * exp(-rate * years))::numeric(18, 6) as pv_dividend,
    rate - ln(forward / spot) / years as dividend_yield,
    method,
    pair_count,
    iv_of_pairs,
    {{ merged_flags("'{}'::text[]", {
        'few_pairs': 'pair_count between 1 and 2',
        'no_pairs': 'not is_american and tried_count = 0',
        'unsolved_pairs': 'pair_count = 0 and tried_count > 0',
        'no_spot': 'spot is null',
        'late_spot': 'is_late_spot',
        'wide_quotes': 'forward_error > 0.008 * forward * sqrt(years)',
        'dividend_mismatch': 'is_american and abs(pv_dividend - pv_announced)
            > greatest(0.05 * pv_announced, 0.0001 * spot)',
        'unexplained_carry': "method = 'parity' and usual_forward > 0
            and abs(ln(forward / usual_forward)) > forward_error / forward + 0.002 + 0.01 * years",
    }) | indent }} as data_quality_flag,
    forward_error::numeric(18, 6) as forward_error,
    ex_dates,
    amount::numeric(18, 6) as dividend_amount
from valued
-- what its type can hold; nothing where neither quotes nor dividends say anything
where forward between 0.000001 and 1000000000
