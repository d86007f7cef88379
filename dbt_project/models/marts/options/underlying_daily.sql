with factored as (
    select
        *,
        adjusted_close / nullif(und_close, 0) as dividend_factor,
        lag(adjusted_close / nullif(und_close, 0)) over bars as factor_before,
        lag(und_close) over bars as close_before
    from {{ ref('stg_ib__underlying_daily') }}
    window bars as (partition by symbol, adjusted_as_of order by trade_date)
)

select
    symbol,
    trade_date,
    und_open,
    und_high,
    und_low,
    und_close,
    volume_shares,
    adjusted_close,
    dividend_factor::numeric(38, 9) as dividend_factor,
    -- smaller steps are rounding
    case
        when dividend_factor / nullif(factor_before, 0) - 1 > 0.0005
            then close_before * (1 - factor_before / dividend_factor)
    end::numeric(18, 4) as implied_dividend,
    adjusted_as_of,
    is_current
from factored
