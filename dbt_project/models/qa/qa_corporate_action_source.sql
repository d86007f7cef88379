select
    'no_corporate_action_source' as check_name,
    'warning' as severity,
    'corporate_actions' as subject,
    null::date as trade_date,
    'no corporate actions are loaded: adjusted (qfq) prices are the same as raw prices; fix: '
    || case (
        select s.value from {{ ref('stg_ops__setting') }} as s where s.key = 'corporate_actions'
    )
        when 'gbbq'
            then
                'copy T0002/hq_cache/gbbq into the client''s folder (the client downloads it when'
                || ' it starts, tdx.download with each load), or set'
                || ' QUOTEMILL_TDX__CORPORATE_ACTIONS to xdxr or a CSV file, then quotemill run tdx'
        when 'xdxr'
            then
                'try other quote servers (tdx.servers), or set QUOTEMILL_TDX__CORPORATE_ACTIONS to'
                || ' a CSV file, then quotemill run tdx'
        when 'csv'
            then
                'add the events to the file of QUOTEMILL_TDX__CORPORATE_ACTIONS, then quotemill run'
                || ' tdx'
        else
            'set QUOTEMILL_TDX__CORPORATE_ACTIONS to a CSV file or xdxr, then quotemill run tdx'
    end as evidence
where
    exists (select 1 from {{ ref('stg_tdx__kline_daily') }})
    and not exists (select 1 from {{ ref('stg_tdx__corporate_action') }} where not is_withdrawn)
