with segments as not materialized (
    select * from {{ ref('adjustment_segments') }}
),

-- the whole series of each code: old bars show best whether the vendor adjusts
vendor as (
    {{ sample_rows(ref('stg_tdx__kline_adjusted'), 'true') | indent }}
),

newest as (
    select
        *,
        max(trade_date) over (partition by code) as vendor_date
    from vendor
),

-- our prices as of the vendor's own newest day
anchored as (
    select
        v.*,
        coalesce(t.price_decimals, 2) as price_decimals,
        coalesce(t.backward_a, 1) as anchor_a,
        coalesce(t.backward_b, 0) as anchor_b
    from newest as v
    left join segments as t
        on v.code = t.code and v.vendor_date >= t.valid_from and v.vendor_date < t.valid_to
)

select
    a.run_id,
    a.first_date,
    a.last_date,
    a.code,
    a.trade_date,
    a.vendor_date,
    a.is_final and r.is_final as is_final,
    f.field,
    f.raw,
    f.theirs,
    round(
        (coalesce(s.backward_a, 1) * f.raw + coalesce(s.backward_b, 0) - a.anchor_b)
        / a.anchor_a,
        a.price_decimals
    ) as ours
from anchored as a
inner join {{ ref('kline_daily') }} as r on a.code = r.code and a.trade_date = r.trade_date
left join segments as s
    on a.code = s.code and a.trade_date >= s.valid_from and a.trade_date < s.valid_to
cross join lateral (
    values
    ('open', r.open, a.open),
    ('high', r.high, a.high),
    ('low', r.low, a.low),
    ('close', r.close, a.close)
) as f (field, raw, theirs)
