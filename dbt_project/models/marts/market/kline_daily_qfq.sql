{{ config(
    materialized='incremental',
    incremental_strategy='upsert',
    unique_key=['code', 'trade_date'],
    indexes=[{'columns': ['trade_date']}],
    pre_hook="{{ take_bar_changes(ref('adjustment_segments')) }}",
    post_hook="{{ drop_taken_changes() }}",
    meta={'changed_by': 'trade_date'},
) }}

with bars as (
    {{ bars_to_build(ref('stg_tdx__kline_daily')) | indent }}
),

segments as (
    select * from {{ ref('adjustment_segments') }}
),

-- a code that the service's list does not hold has no segment
final as (
    select
        b.code,
        b.trade_date,
        {{ forward_adjusted('b.open') }} as open,
        {{ forward_adjusted('b.high') }} as high,
        {{ forward_adjusted('b.low') }} as low,
        {{ forward_adjusted('b.close') }} as close,
        b.volume_shares,
        b.amount_cny,
        coalesce(s.has_inferred_action, false) as has_inferred_action,
        b.is_final,
        coalesce(s.has_refused_action, false) as has_refused_action
    from bars as b
    left join segments as s
        on b.code = s.code and b.trade_date >= s.valid_from and b.trade_date < s.valid_to
)

select * from final
