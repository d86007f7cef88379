{{ config(
    materialized='incremental',
    incremental_strategy='upsert',
    unique_key=['code', 'month_start'],
    indexes=[{'columns': ['trade_date']}],
    pre_hook="{{ take_changes() }}",
    post_hook="{{ drop_taken_changes() }}",
    meta={'changed_by': 'month_start'},
) }}

with days as (
    {{ bars_to_build(ref('kline_daily_qfq')) | indent }}
),

days_of_months as (
    select
        *,
        date_trunc('month', trade_date::timestamp)::date as month_start
    from days
),

final as (
    select
        code,
        month_start,
        max(trade_date) as trade_date,
        (array_agg(open order by trade_date))[1] as open,
        max(high) as high,
        min(low) as low,
        (array_agg(close order by trade_date desc))[1] as close,
        sum(volume_shares)::bigint as volume_shares,
        sum(amount_cny)::numeric(20, 3) as amount_cny,
        count(*)::integer as bar_count,
        bool_or(has_inferred_action) as has_inferred_action,
        bool_and(is_final) as is_final,
        bool_or(has_refused_action) as has_refused_action
    from days_of_months
    group by code, month_start
)

select * from final
