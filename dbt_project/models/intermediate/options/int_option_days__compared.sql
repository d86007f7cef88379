with rates as (
    select
        {{ setting('ib_risk_free_rate', 0.04) | indent }}::double precision as rate,
        {{ setting('ib_dividend_yield', 0) | indent }}::double precision as yield
),

-- years of 365 days, until the contract expires
timed as (
    select
        c.*,
        {{ contract_term('trading_class') }} as trading_class,
        {{ contract_term('expiry') }} as expiry,
        {{ contract_term('strike') }} as strike,
        k.option_right,
        extract(
            epoch from {{ contract_term('expires_at') }} - c.sample_time
        )::double precision / 31536000 as years
    from {{ ref('int_option_quotes__ranked') }} as c
    inner join {{ ref('stg_ib__contract') }} as k on c.conid = k.conid
    {{ former_terms_joined('c') | indent }}
    where
        c.is_day_quote
        and c.mid > 0
        and {{ contract_term('strike') }} > 0
        and not {{ contract_term('is_adjusted') }}
),

-- The underlying's price at the time of the source's model; a price must be above 0.
valued as (
    select
        t.*,
        t.ask - t.bid as spread,
        (
            case
                when t.und_price > 0 then t.und_price
                when t.underlying_price > 0 then t.underlying_price
            end
        )::double precision as spot,
        exp(-r.rate * t.years) as discount,
        exp(-r.yield * t.years) as growth
    from timed as t
    cross join rates as r
    where t.years > 0
),

-- Black's formula takes the side out of the money: the other may be worth early exercise, which
-- the formula lacks.
normalised as (
    select
        *,
        case
            when
                spot > 0
                and (option_right = 'C') = (spot * growth / discount <= strike)
                then -abs(ln(spot * growth / discount / strike::double precision))
        end as x,
        case
            when spot > 0
                then
                    mid::double precision
                    / (discount * sqrt(spot * growth / discount * strike::double precision))
        end as b
    from valued
),

solved as (
    select
        n.*,
        case when n.x is not null then {{ deviation_solved() }} end as w
    from normalised as n
    {{ solve_deviation('n.x', 'n.b') | indent }}
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
        max(greatest(q.pv_dividend, 0)) over pair as dividends,
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
-- band.
checked as (
    select
        symbol,
        trade_date,
        conid,
        w / sqrt(years) as iv_from_mid,
        abs(w / sqrt(years) - iv) > greatest(
            0.02,
            0.1 * iv,
            -- half the spread, in volatility: the quote is no more precise than this
            spread::double precision / 2 / greatest(
                discount * sqrt(spot * growth / discount * strike::double precision)
                * exp(x / 2) * {{ normal_pdf('(x / w + w / 2)') }} * sqrt(years),
                1e-9
            )
        ) as is_iv_mismatch,
        case
            when pair_size = 2 and abs(spot / strike::double precision - 1) <= 0.05
                then greatest(
                    0,
                    call_mid - put_mid - half_spreads
                    - (highest_spot - strike::double precision * discount),
                    lowest_spot - strike::double precision
                    - greatest(lowest_spot * (1 - growth), coalesce(dividends, 0))
                    - (call_mid - put_mid) - half_spreads
                )
        end as parity_gap,
        case option_right
            when 'C' then bid > spot or mid + spread < spot - strike::double precision
            else bid > strike or mid + spread < strike::double precision - spot
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
        coalesce(bid > later_ask, false) as is_calendar_violation
    from compared
)

select
    symbol,
    trade_date,
    conid,
    iv_from_mid,
    is_iv_mismatch,
    parity_gap::numeric(18, 6) as parity_gap,
    coalesce(parity_gap > 0 or is_out_of_bounds, false) as is_parity_violation,
    is_butterfly_violation,
    is_calendar_violation
from checked
