with rejected as (
    select * from {{ ref('stg_tdx__rejected_row') }} where not is_withdrawn
),

refused_actions as (
    select a.*
    from {{ ref('int_corporate_actions__refused') }} as a
    where exists (select from {{ source('raw_tdx', 'kline_daily') }} as k where k.code = a.code)
),

-- what a later answer brought well is stored now
open_rows as (
    select r.*
    from rejected as r
    where
        not exists (
            select from {{ source('raw_tdx', 'kline_daily') }} as k
            where
                r.dataset = 'kline_daily'
                and k.code = r.code
                and k.trade_date = r.trade_date
        )
        and not exists (
            select from {{ source('raw_tdx', 'kline_adjusted') }} as k
            where
                r.dataset = 'kline_adjusted'
                and k.code = r.code
                and k.trade_date = r.trade_date
        )
        and not exists (
            select from {{ source('raw_tdx', 'index_kline') }} as k
            where
                r.dataset = 'index_kline'
                and k.code = r.code
                and k.period = coalesce(r.period, 'day')
                and k.trade_date = r.trade_date
                and coalesce(k.source_label = r.source_label, r.source_label is null)
        )
        and not exists (
            select from {{ source('raw_tdx', 'kline_minute') }} as k
            where
                r.dataset = 'minute_1m'
                and k.code = r.code
                and k.bar_end >= r.trade_date::timestamp at time zone 'Asia/Shanghai'
                and k.bar_end < (r.trade_date + 1)::timestamp at time zone 'Asia/Shanghai'
                and k.source_label = r.source_label
        )
        and not exists (
            select from {{ source('raw_tdx', 'tick_trade') }} as k
            where
                r.dataset = 'tick_trade'
                and k.code = r.code
                and k.trade_date = r.trade_date
        )
),

final as (
    select
        case when a.code is null then 'rejected_row' else 'refused_action' end as check_name,
        case when a.code is null then 'warning' else 'error' end as severity,
        coalesce(a.code, r.dataset || ' ' || r.row_key) as subject,
        a.ex_date as trade_date,
        case when a.code is null then '' else r.row_key || ': ' end
        || format('%s = %s breaks the rule: %s', r.field, coalesce(r.value, 'null'), r.rule)
        || case
            when a.code is null then ''
            else '. Its adjusted prices lack this event (has_refused_action)'
        end as evidence
    from open_rows as r
    left join refused_actions as a
        on
            r.dataset = 'corporate_actions'
            and r.row_key = a.row_key
            and r.field = a.field
            and r.rule = a.rule
)

select * from final
