with source as (
    select * from {{ source('raw_tdx', 'stock_info') }}
),

renamed as (
    select
        code,
        part,
        trade_date,
        row_count,
        (nullif(previous_close, 0) * 0.001)::numeric(18, 3) as previous_close,
        (nullif(open, 0) * 0.001)::numeric(18, 3) as open,
        (nullif(high, 0) * 0.001)::numeric(18, 3) as high,
        (nullif(low, 0) * 0.001)::numeric(18, 3) as low,
        (nullif(close, 0) * 0.001)::numeric(18, 3) as close,
        100 * volume as volume_shares,
        amount_yuan::numeric(20, 3) as amount_cny,
        fetched_at
    from source
)

select * from renamed
