select
    'no_corporate_action_source' as check_name,
    'warning' as severity,
    'corporate_actions' as subject,
    null::date as trade_date,
    'no source was ever read: adjusted prices equal raw ones. Set'
    || ' QUOTEMILL_TDX__CORPORATE_ACTIONS, then loaders run tdx --dataset corporate_actions'
        as evidence
where
    exists (select 1 from {{ ref('stg_tdx__kline_daily') }})
    and not exists (
        select 1 from {{ ref('stg_ops__ingestion_state') }} where dataset = 'corporate_actions'
    )
