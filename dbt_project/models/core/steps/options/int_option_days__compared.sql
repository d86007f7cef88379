with quotes as (
    select
        {{ chain_columns('q') }},
        q.conid,
        q.strike,
        q.option_right,
        q.is_american,
        q.bid,
        q.ask,
        q.mid,
        q.iv,
        q.years,
        {{ spot_of_forward('q', 'f') | indent(8) }} as spot,
        q.ask - q.bid as spread,
        {{ forward_of_quote('q', 'f') | indent(8) }} as forward,
        coalesce(f.forward_error, 0)::double precision as forward_error,
        f.pair_count,
        exp(-f.rate * q.years) as discount,
        f.data_quality_flag as iv_flag,
        -- a pair alone would prove itself
        greatest(
            q.pv_dividend, case when f.pair_count <> 1 then f.pv_dividend end, 0
        ) as dividend,
        -- a forward above price and interest: dear to hold, or the price is of another time
        greatest(case when f.pair_count <> 1 then -f.pv_dividend end, 0) as negative_dividend
    from {{ ref('int_option_quotes__valued') }} as q
    left join {{ ref('forwards') }} as f
        on {{ same_chain('q', 'f') }}
    where q.is_day_quote
),

-- Black's formula takes the side out of the money: in the money most of a price is no volatility.
normalised as (
    select
        *,
        case
            when not is_american and (option_right = 'C') = (forward <= strike)
                then -abs(ln(forward / strike::double precision))
        end as x,
        discount * sqrt(forward * strike::double precision) as unit
    from quotes
),

solved as (
    {{ implied_volatilities('normalised', ['bid', 'mid', 'ask']) | indent }}
),

-- neighbours among the quotes of one time: the other right, the next strikes, the next expiry
compared as (
    select
        q.*,
        max(q.mid) filter (where q.option_right = 'C') over pair as call_mid,
        max(q.mid) filter (where q.option_right = 'P') over pair as put_mid,
        sum(q.spread) over pair / 2 as half_spreads,
        min(q.spot) over pair as lowest_spot,
        max(q.spot) over pair as highest_spot,
        max(q.dividend) over pair as dividends,
        max(q.negative_dividend) over pair as negative_dividends,
        count(*) over pair as pair_size,
        lag(q.strike) over strip as lower_strike,
        lead(q.strike) over strip as upper_strike,
        lag(q.ask) over strip as lower_ask,
        lead(q.ask) over strip as upper_ask,
        lead(q.bid) over strip as upper_bid,
        lead(q.ask) over term as later_ask
    from solved as q
    window
        pair as (
            partition by
                q.symbol, q.trade_date, q.rollup_source_view, q.sample_time, q.trading_class,
                q.strike, q.expiry
        ),
        strip as (
            partition by
                q.symbol, q.trade_date, q.rollup_source_view, q.sample_time, q.trading_class,
                q.expiry, q.option_right
            order by q.strike
        ),
        term as (
            partition by
                q.symbol, q.trade_date, q.rollup_source_view, q.sample_time, q.trading_class,
                q.strike, q.option_right
            order by q.expiry
        )
),

-- What no side of the quotes allows. American exercise and dividends widen put-call parity to a
-- band. A quote says no more of a volatility than that it is between those of bid and ask.
checked as (
    select
        *,
        iv > iv_from_ask + greatest(0.02, 0.1 * iv)
        or (
            iv_from_ask is not null
            and iv < coalesce(iv_from_bid, 0) - greatest(0.02, 0.1 * iv)
        ) as is_iv_mismatch,
        case
            when pair_size < 2 or abs(spot / strike::double precision - 1) > 0.05 then null
            when is_american
                then greatest(
                    0,
                    call_mid - put_mid - half_spreads
                    - (highest_spot - strike::double precision * discount) - negative_dividends,
                    lowest_spot - strike::double precision - dividends
                    - (call_mid - put_mid) - half_spreads
                )
            when pair_count > 1
                then greatest(
                    0,
                    abs(call_mid - put_mid - discount * (forward - strike::double precision))
                    - half_spreads
                )
        end as parity_gap,
        case
            when is_american and option_right = 'C'
                then bid > spot or mid + spread < spot - strike::double precision
            when is_american
                then bid > strike or mid + spread < strike::double precision - spot
            when option_right = 'C'
                then
                    bid > discount * forward + forward_error
                    or mid + spread
                    < discount * (forward - strike::double precision) - forward_error
            else
                bid > discount * strike::double precision
                or mid + spread < discount * (strike::double precision - forward) - forward_error
        end as is_out_of_bounds,
        coalesce(
            bid > (
                (upper_strike - strike) * lower_ask + (strike - lower_strike) * upper_ask
            ) / nullif(upper_strike - lower_strike, 0),
            false
        )
        or coalesce(
            case option_right when 'C' then upper_bid > ask else bid > upper_ask end,
            false
        ) as is_butterfly_violation,
        -- a European put deep in the money, or a volatility that is traded, is worth less later
        is_american and coalesce(bid > later_ask, false) as is_calendar_violation
    from compared
)

select
    symbol,
    trade_date,
    conid,
    case when forward < 1000000000 then forward::numeric(18, 6) end as forward,
    iv_from_bid,
    iv_from_mid,
    iv_from_ask,
    is_iv_mismatch,
    iv_flag,
    parity_gap::numeric(18, 6) as parity_gap,
    coalesce(parity_gap > 0 or is_out_of_bounds, false) as is_parity_violation,
    is_butterfly_violation,
    is_calendar_violation
from checked
