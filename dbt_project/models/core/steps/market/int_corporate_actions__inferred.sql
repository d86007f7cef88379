-- a bar beyond the vendor's series changes nothing
{{ config(
    materialized='followed',
    unique_key=['code', 'ex_date'],
    indexes=[{'columns': ['code', 'ex_date'], 'unique': true}],
    meta={
        'follows': {
            'raw_tdx.kline_adjusted': 'code',
            'raw_tdx.kline_daily': "case when exists (
                select 1 from raw_tdx.kline_adjusted as v
                where
                    v.code = c.code
                    and v.trade_date >= coalesce(
                        (
                            select max(b.trade_date) from raw_tdx.kline_daily as b
                            where b.code = c.code and b.trade_date < lower(c.days)
                        ),
                        lower(c.days),
                        '-infinity'
                    )
                    and v.trade_date < coalesce(upper(c.days), 'infinity')
            ) then '(,)'::daterange end",
            'int_adjustment__known_events': 'code',
        },
        'by': 'ex_date',
    },
) }}

with vendor_bars as (
    select * from {{ changed(ref('stg_tdx__kline_adjusted')) }}
),

raw_bars as (
    select * from {{ changed(ref('stg_tdx__kline_daily')) }}
),

codes as (
    select
        code,
        -- a vendor with cents rounds to them; one with li truncates
        count(*) filter (
            where open % 0.01 <> 0 or high % 0.01 <> 0 or low % 0.01 <> 0 or close % 0.01 <> 0
        ) > 0.2 * count(*) as has_li
    from vendor_bars
    group by code
),

-- the known backward coefficients, as adjustment_segments has them
openings as (
    select
        code,
        date '1900-01-01' as valid_from,
        1::numeric as m,
        0::numeric as c
    from codes
    union all
    select
        e.code,
        e.ex_date as valid_from,
        e.m,
        e.c
    from {{ ref('int_adjustment__known_events') }} as e
    inner join codes as k on e.code = k.code
),

multiplied as (
    select
        *,
        {{ inner_schema() }}.nprod(m) over (partition by code order by valid_from) as a
    from openings
),

segments as (
    select
        code,
        valid_from,
        a::double precision as a,
        (sum(a / m * c) over (partition by code order by valid_from))::double precision as b,
        lead(valid_from, 1, date '9999-12-31') over (partition by code order by valid_from)
            as valid_to
    from multiplied
),

anchors as (
    select
        code,
        array_agg(a order by valid_from desc) as anchors_a,
        array_agg(b order by valid_from desc) as anchors_b
    from segments
    group by code
),

pairs as (
    select
        v.code,
        v.trade_date,
        s.valid_from,
        s.a,
        s.b,
        array[
            s.a * r.open + s.b, s.a * r.high + s.b, s.a * r.low + s.b, s.a * r.close + s.b
        ]::double precision[] as x,
        array[
            v.open + c.cut * sign(v.open), v.high + c.cut * sign(v.high),
            v.low + c.cut * sign(v.low), v.close + c.cut * sign(v.close)
        ]::double precision[] as v
    from vendor_bars as v
    inner join codes as k on v.code = k.code
    cross join lateral (values (case when k.has_li then 0.0005 else 0 end)) as c (cut)
    inner join raw_bars as r on v.code = r.code and v.trade_date = r.trade_date
    inner join segments as s
        on v.code = s.code and v.trade_date >= s.valid_from and v.trade_date < s.valid_to
    where v.is_final and r.is_final
),

marked as (
    select
        *,
        valid_from <> lag(valid_from, 1, valid_from) over (
            partition by code order by trade_date desc
        ) as is_known
    from pairs
),

series as (
    select
        code,
        array_agg(trade_date order by trade_date desc) as trade_dates,
        array_agg(x order by trade_date desc) as x,
        array_agg(v order by trade_date desc) as v,
        array_agg(a order by trade_date desc) as a,
        array_agg(b order by trade_date desc) as b,
        array_agg(is_known order by trade_date desc) as is_known
    from marked
    group by code
),

breaks as (
    select
        s.code,
        s.trade_dates[f.bar] as last_bar_date,
        f.m,
        f.c,
        f.fit_error,
        f.fitted_bars
    from series as s
    inner join codes as k on s.code = k.code
    inner join anchors as n on s.code = n.code
    cross join lateral {{ inner_schema() }}.affine_breaks(
        s.x, s.v, s.a, s.b, s.is_known, n.anchors_a, n.anchors_b,
        case when k.has_li then 0.0025 else 0.011 end
    ) as f
),

final as (
    select
        b.code,
        (
            select min(r.trade_date) from {{ ref('stg_tdx__kline_daily') }} as r
            where r.code = b.code and r.trade_date > b.last_bar_date
        ) as ex_date,
        b.last_bar_date,
        b.m,
        b.c,
        round(1 / b.m, 12) as estimated_a,
        round(-b.c / b.m, 12) as estimated_b,
        b.fit_error::numeric(18, 6) as fit_error,
        b.fitted_bars as fitted_bar_count
    from breaks as b
)

-- no bar yet on its newer side: no ex-date either
select * from final where ex_date is not null
