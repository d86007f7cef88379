{{ config(
    materialized='incremental',
    incremental_strategy='upsert',
    unique_key=['code', 'bar_end'],
    indexes=[{'columns': ['trade_date']}],
    pre_hook="{{ take_changes() }}",
    post_hook="{{ drop_taken_changes() }}",
    meta={'changed_by': 'bar_end'},
) }}

with bars as (
    {{ bars_to_build(ref('kline_5m'), by='bar_end') | indent }}
),

final as (
    select
        code,
        {{ end_of_bucket(30) | indent(8) }} as bar_end,
        max(trade_date) as trade_date,
        {{ rolled_up_columns('sum(bar_count)') }}
    from bars
    group by
        code,
        {{ end_of_bucket(30) | indent(8) }}
)

select * from final
