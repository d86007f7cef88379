with rates as (
    select {{ setting('ib_risk_free_rate', 0.04) | indent }}::double precision as rate
),

strikes as (
    select
        {{ chain_columns() }},
        strike::double precision as strike,
        bool_or(is_american) as is_american,
        bool_or(is_late_spot) as is_late_spot,
        min(years) as years,
        avg(spot) as spot,
        avg(pv_dividend) filter (where pv_dividend >= 0)::double precision as pv_dividend,
        max(mid) filter (where option_right = 'C' and bid > 0)::double precision as call_price,
        max(mid) filter (where option_right = 'P' and bid > 0)::double precision as put_price,
        sum(ask - bid)::double precision / 2 as half_spreads
    from {{ ref('int_option_quotes__valued') }}
    group by {{ chain_columns() }}, strike
),

chained as (
    select
        {{ chain_columns('s') }},
        s.strike,
        s.is_american,
        s.is_late_spot,
        min(s.years) over chain as years,
        coalesce(s.spot, avg(s.spot) over chain) as spot,
        avg(s.pv_dividend) over chain as pv_dividend,
        s.call_price,
        s.put_price,
        s.half_spreads,
        -- the strike says the more, the less call and put differ and the narrower their spreads
        case
            when abs(s.call_price - s.put_price) <= 0.1 * s.strike
                then abs(s.call_price - s.put_price) + s.half_spreads
        end as distance,
        r.rate,
        array(
            select e.ex_date from unnest(d.ex_dates) as e (ex_date)
            where e.ex_date > s.trade_date and e.ex_date <= s.expiry
        ) as ex_dates,
        d.amount
    from strikes as s
    cross join rates as r
    left join {{ ref('int_option_dividends__expected') }} as d
        on s.symbol = d.symbol and s.trade_date >= d.valid_from and s.trade_date < d.valid_to
    window chain as (partition by {{ chain_columns('s') }})
)

select
    *,
    -- expiry is at 16:00 in New York
    array(
        select chained.years - (chained.expiry - e.ex_date + 2 / 3.0)::double precision / 365
        from unnest(chained.ex_dates) as e (ex_date)
        order by e.ex_date
    ) as ex_years,
    row_number() over nearest as nearness,
    first_value(half_spreads) over nearest as nearest_half_spreads
from chained
window nearest as (partition by {{ chain_columns() }} order by distance asc nulls last, strike asc)
