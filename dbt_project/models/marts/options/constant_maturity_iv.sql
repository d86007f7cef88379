-- the expiries on either side of the maturity: of two classes at one moment that of more quotes
with sides as (
    select
        t.symbol,
        t.trade_date,
        t.rollup_source_view,
        t.sample_time,
        m.days,
        (array_agg(t.years order by t.years desc, t.quote_count desc, t.trading_class)
            filter (where t.years <= m.days / 365.0))[1] as near_years,
        (array_agg(t.total_variance order by t.years desc, t.quote_count desc, t.trading_class)
            filter (where t.years <= m.days / 365.0))[1] as near_variance,
        (array_agg(t.expiry order by t.years desc, t.quote_count desc, t.trading_class)
            filter (where t.years <= m.days / 365.0))[1] as near_expiry,
        (array_agg(t.years order by t.years asc, t.quote_count desc, t.trading_class)
            filter (where t.years > m.days / 365.0))[1] as far_years,
        (array_agg(t.total_variance order by t.years asc, t.quote_count desc, t.trading_class)
            filter (where t.years > m.days / 365.0))[1] as far_variance,
        (array_agg(t.expiry order by t.years asc, t.quote_count desc, t.trading_class)
            filter (where t.years > m.days / 365.0))[1] as far_expiry
    from {{ ref('atm_term_structure') }} as t
    cross join (values (30), (60), (90)) as m (days)
    group by t.symbol, t.trade_date, t.rollup_source_view, t.sample_time, m.days
)

select
    symbol,
    trade_date,
    rollup_source_view,
    sample_time,
    days,
    sqrt(
        (
            near_variance
            + (far_variance - near_variance)
            * (days / 365.0 - near_years) / (far_years - near_years)
        ) * 365 / days
    ) as iv,
    near_expiry,
    far_expiry
from sides
where near_years is not null and far_years is not null
