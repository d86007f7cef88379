{{ config(
    materialized='incremental',
    incremental_strategy='upsert',
    unique_key=['code', 'bar_end'],
    indexes=[{'columns': ['trade_date']}],
    pre_hook="{{ take_minute_changes(['kline_15m', 'kline_30m']) }}",
    post_hook="{{ drop_taken_changes() }}",
    meta={'changed_by': 'bar_end'},
) }}

with bars as (
    {{ bars_to_build(ref('stg_tdx__kline_minute'), by='bar_end') | indent }}
),

final as (
    select
        code,
        {{ end_of_bucket(5) | indent(8) }} as bar_end,
        max(trade_date) as trade_date,
        {{ rolled_up_columns('count(*)') }}
    from bars
    group by
        code,
        {{ end_of_bucket(5) | indent(8) }}
)

select * from final
