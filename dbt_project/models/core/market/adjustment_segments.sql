-- the ratio of an action comes from the last bar before it
{{ config(
    materialized='followed',
    unique_key=['code', 'valid_from'],
    meta={
        'follows': {
            'corporate_actions': 'code',
            'raw_tdx.corporate_action': 'code',
            'raw_tdx.capital_event': 'code',
            'raw_tdx.rejected_row': 'code',
            'raw_tdx.security': 'code',
            'raw_tdx.kline_daily': "case when exists (
                select 1 from {{ ref('corporate_actions') }} as e
                where e.code = c.code and e.ex_date >= coalesce(lower(c.days), '-infinity')
            ) then '(,)'::daterange end",
        },
        'by': 'valid_from',
    },
) }}

with symbols as (
    select * from {{ changed(ref('stg_tdx__security'), by='code') }}
    where instrument_type <> 'index'
),

actions as (
    select * from {{ changed(ref('corporate_actions'), by='ex_date') }}
    where is_active
),

-- All rows of a day in one: quantities add up; money for rights is the sum of the products. The
-- money is per share held before a split of the same day.
events as (
    select
        code,
        ex_date,
        trim_scale(
            (1 + sum(case category when 11 then 0 else m - 1 end))
            * {{ inner_schema() }}.nprod(case category when 11 then m else 1 end)
        ) as m,
        trim_scale(sum(c)) as c
    from actions
    group by code, ex_date
),

-- codes whose prices lack an event
refused as (
    select code from {{ changed(ref('int_corporate_actions__unread'), by='code') }}
    union
    select code from actions where {{ has_foreign_money() | indent(4) }}
),

-- The proportional step: the theoretical ex-price over the last close before the event. The zero of
-- 24 places makes PostgreSQL keep as many in the quotient.
steps as (
    select
        e.code,
        e.ex_date,
        e.m,
        e.c,
        coalesce(
            (b.close - e.c + 0.000000000000000000000000) / nullif(e.m * b.close, 0), 1
        ) as k
    from events as e
    left join lateral (
        select k.close from {{ ref('stg_tdx__kline_daily') }} as k
        where k.code = e.code and k.trade_date < e.ex_date
        order by k.trade_date desc
        limit 1
    ) as b on true
),

codes as (
    select code from symbols
    union
    select code from events
    union
    select code from refused
),

-- Every code starts with raw prices; an event opens a segment on its ex-date. On the first day
-- there is no older price to adjust.
openings as (
    select
        code,
        date '1900-01-01' as valid_from,
        1::numeric as m,
        0::numeric as c,
        1::numeric as k
    from codes
    union all
    select
        code,
        ex_date as valid_from,
        m,
        c,
        k
    from steps
    where ex_date > date '1900-01-01'
),

multiplied as (
    select
        *,
        {{ inner_schema() }}.nprod(m) over (partition by code order by valid_from) as backward_a,
        coalesce(
            {{ inner_schema() }}.nprod(m) over (
                partition by code order by valid_from
                rows between unbounded preceding and 1 preceding
            ),
            1
        ) as previous_a,
        coalesce(
            {{ inner_schema() }}.nprod(k) over (
                partition by code order by valid_from
                rows between 1 following and unbounded following
            ),
            1
        ) as ratio_factor
    from openings
),

accumulated as (
    select
        *,
        sum(previous_a * c) over (partition by code order by valid_from) as backward_b,
        lead(valid_from, 1, date '9999-12-31') over (partition by code order by valid_from)
            as valid_to
    from multiplied
),

with_latest as (
    select
        *,
        last_value(backward_a) over whole_code as latest_a,
        last_value(backward_b) over whole_code as latest_b
    from accumulated
    window whole_code as (
        partition by code order by valid_from
        rows between unbounded preceding and unbounded following
    )
)

select
    w.code,
    w.valid_from,
    w.valid_to,
    trim_scale(w.backward_a) as backward_a,
    trim_scale(w.backward_b) as backward_b,
    trim_scale(w.latest_a) as latest_a,
    trim_scale(w.latest_b) as latest_b,
    trim_scale(round((w.backward_a + 0.000000000000000000000000) / w.latest_a, 18))
        as forward_a,
    trim_scale(
        round((w.backward_b - w.latest_b + 0.000000000000000000000000) / w.latest_a, 18)
    ) as forward_b,
    trim_scale(round(w.ratio_factor, 18)) as ratio_factor,
    coalesce(s.price_decimals, 2) as price_decimals,
    r.code is not null as has_refused_action
from with_latest as w
left join symbols as s on w.code = s.code
left join refused as r on w.code = r.code
