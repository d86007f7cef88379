with source as (
    select * from {{ source('raw_tdx', 'trading_day') }}
),

renamed as (
    select
        trade_date,
        source,
        fetched_at
    from source
)

select * from renamed
