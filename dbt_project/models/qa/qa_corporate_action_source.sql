select
    'no_corporate_action_source' as check_name,
    'warning' as severity,
    'corporate_actions' as subject,
    null::date as trade_date,
    'no source was ever read: adjusted prices equal raw ones. Set'
    || ' QUOTEMILL_TDX__CORPORATE_ACTIONS, then loaders run tdx --dataset corporate_actions'
        as evidence
where
    exists (select 1 from {{ source('raw_tdx', 'kline_daily') }})
    and not exists (
        select 1 from {{ source('ops', 'ingestion_state') }} where dataset = 'corporate_actions'
    )
