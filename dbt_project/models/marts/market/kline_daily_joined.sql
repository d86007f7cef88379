-- no CTE: see stg_tdx__kline_daily
{%- set columns %}
    b.trade_date,
    b.open,
    b.high,
    b.low,
    b.close,
    b.volume_shares,
    b.amount_cny,
    b.is_final
{%- endset %}
{%- set new_code_has_day = has_day_of_new_code('b', ref('stg_tdx__kline_daily')) %}

select
    b.code,
    b.code as traded_code,
    {{- columns }}
from {{ ref('stg_tdx__kline_daily') }} as b
where
    not exists (
        select 1 from {{ ref('code_changes') }} as c
        where
            c.old_code = b.code
            and (c.valid_from > b.trade_date or {{ new_code_has_day | indent(12) }})
    )
union all
select
    c.new_code as code,
    b.code as traded_code,
    {{- columns }}
from {{ ref('code_changes') }} as c
inner join {{ ref('stg_tdx__kline_daily') }} as b
    on c.old_code = b.code and c.valid_from > b.trade_date
-- a source may have the history under the new code too
where not {{ new_code_has_day }}
