{%- set counts = [
    'stock_count', 'up_count', 'down_count', 'flat_count', 'limit_up_count', 'limit_down_count',
    'suspended_count',
] -%}
{%- set service_counts = [
    'service_stock_count', 'service_up_count', 'service_down_count', 'service_flat_count',
    'service_instrument_count',
] %}

-- Times at which quotes or the service were asked. A condition on trade_date reaches every table:
-- one day costs only its own rows, and nothing is materialized or joined in full.
with samples as not materialized (
    select
        q.exchange,
        q.sampled_at,
        q.trade_date,
        true as has_quotes,
        q.{{ counts | join(', q.') }},
        s.{{ service_counts | join(', s.') }}
    from {{ ref('int_market__breadth_by_quotes') }} as q
    left join {{ ref('stg_tdx__market_stats') }} as s
        on q.exchange = s.exchange and q.sampled_at = s.sampled_at
    union all
    select
        s.exchange,
        s.sampled_at,
        s.trade_date,
        false as has_quotes,
        null as {{ counts | join(', null as ') }},
        s.{{ service_counts | join(', s.') }}
    from {{ ref('stg_tdx__market_stats') }} as s
    where
        not exists (
            select 1 from {{ ref('int_market__breadth_by_quotes') }} as q
            where
                q.exchange = s.exchange
                and q.sampled_at = s.sampled_at
                and q.trade_date = s.trade_date
        )
)

-- the bars of a day stand in from its close on
select
    s.exchange,
    s.sampled_at,
    s.trade_date,
    case
        when s.has_quotes then 'quotes'
        when b.exchange is not null then 'day_bars'
        else 'service'
    end as basis,
    {% for name in counts -%}
        coalesce(s.{{ name }}, b.{{ name }})::integer as {{ name }},
    {% endfor -%}
    s.{{ service_counts | join('::integer, s.') }}::integer
from samples as s
left join lateral (
    select d.* from {{ ref('int_market__breadth_by_bars') }} as d
    where
        not s.has_quotes
        and d.exchange = s.exchange
        and d.trade_date = s.trade_date
        and s.sampled_at >= (s.trade_date + time '15:00') at time zone 'Asia/Shanghai'
    order by d.trade_date
    limit 1
) as b on true
union all
-- the close of a day without a sample at or after it
select
    b.exchange,
    (b.trade_date + time '15:00') at time zone 'Asia/Shanghai' as sampled_at,
    b.trade_date,
    'day_bars' as basis,
    {% for name in counts -%}
        b.{{ name }}::integer as {{ name }},
    {% endfor -%}
    null::integer as {{ service_counts | join(', null::integer as ') }}
from {{ ref('int_market__breadth_by_bars') }} as b
where
    not exists (
        select 1 from samples as s
        where
            s.exchange = b.exchange
            and s.trade_date = b.trade_date
            and s.sampled_at >= (b.trade_date + time '15:00') at time zone 'Asia/Shanghai'
    )
