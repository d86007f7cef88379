with source as (
    select * from {{ source('raw_tdx', 'market_stats') }}
),

renamed as (
    select
        exchange,
        sampled_at,
        trade_date,
        stock_count::integer as service_stock_count,
        up_count::integer as service_up_count,
        down_count::integer as service_down_count,
        flat_count::integer as service_flat_count,
        instrument_count::integer as service_instrument_count,
        fetched_at
    from source
)

select * from renamed
