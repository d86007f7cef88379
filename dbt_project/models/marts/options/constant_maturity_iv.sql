{%- set moment = 'symbol, trade_date, rollup_source_view, sample_time, days' -%}

-- the expiries on either side of the maturity: of two classes at one moment that of more quotes
with points as (
    select
        t.symbol,
        t.trade_date,
        t.rollup_source_view,
        t.sample_time,
        m.days,
        t.expiry,
        t.years,
        t.total_variance,
        t.years > m.days / 365.0 as is_later,
        row_number() over (
            partition by
                t.symbol, t.trade_date, t.rollup_source_view, t.sample_time, m.days,
                t.years > m.days / 365.0
            order by
                abs(t.years - m.days / 365.0) asc, t.quote_count desc, t.trading_class asc
        ) as nearness
    from {{ ref('atm_term_structure') }} as t
    cross join (values (30), (60), (90)) as m (days)
),

sides as (
    select
        {{ moment }},
        max(years) filter (where not is_later) as near_years,
        max(total_variance) filter (where not is_later) as near_variance,
        max(expiry) filter (where not is_later) as near_expiry,
        max(years) filter (where is_later) as far_years,
        max(total_variance) filter (where is_later) as far_variance,
        max(expiry) filter (where is_later) as far_expiry
    from points
    where nearness = 1
    group by {{ moment }}
)

select
    {{ moment }},
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
