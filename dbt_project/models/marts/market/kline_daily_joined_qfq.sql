-- No CTE: see stg_tdx__kline_daily. A bar of an old code is adjusted for the events of the old code
-- and then for those of the new one; if the source has events of before the change under the new
-- code, it has all of them there, and those of the old code are left out, also inherited ones.
-- Rounded once.
select
    b.code,
    b.traded_code,
    b.trade_date,
    {% for price in ('open', 'high', 'low', 'close') -%}
        round(
            (
                coalesce(s.backward_a, 1) * (
                    coalesce(o.backward_a, 1) * b.{{ price }}
                    + coalesce(o.backward_b, 0) - coalesce(o.latest_b, 0)
                )
                + coalesce(o.latest_a, 1) * (coalesce(s.backward_b, 0) - coalesce(s.latest_b, 0))
            )
            / (coalesce(o.latest_a, 1) * coalesce(s.latest_a, 1)),
            coalesce(s.price_decimals, 2)
        )::numeric(18, 3) as {{ price }},
    {% endfor -%}
    b.volume_shares,
    b.amount_cny,
    b.is_final,
    coalesce(s.has_refused_action or o.has_refused_action, s.has_refused_action, false)
        as has_refused_action
from {{ ref('kline_daily_joined') }} as b
left join {{ ref('adjustment_segments') }} as s
    on b.code = s.code and b.trade_date >= s.valid_from and b.trade_date < s.valid_to
left join {{ ref('adjustment_segments') }} as o
    on
        b.traded_code = o.code
        and b.traded_code <> b.code
        and b.trade_date >= o.valid_from
        and b.trade_date < o.valid_to
        and not exists (
            select 1 from {{ ref('int_corporate_actions__inherited') }} as i
            where i.code = b.traded_code
        )
        and not exists (
            select 1 from {{ ref('adjustment_segments') }} as e
            inner join {{ ref('code_changes') }} as c on e.code = c.new_code
            where
                b.traded_code = c.old_code
                and e.valid_from > date '1900-01-01'
                and e.valid_from < c.valid_from
        )
