with states as (
    select * from {{ source('ops', 'ingestion_state') }} where dataset = 'corporate_actions'
),

bars as (
    select * from {{ source('raw_tdx', 'kline_daily') }}
),

final as (
    select
        'no_corporate_action_source' as check_name,
        'warning' as severity,
        'corporate_actions' as subject,
        null::date as trade_date,
        'no source was ever read: adjusted prices equal raw ones. Set'
        || ' QUOTEMILL_TDX__CORPORATE_ACTIONS, then loaders run tdx --dataset corporate_actions'
            as evidence
    where not exists (select from states) and exists (select from bars)
)

select * from final
