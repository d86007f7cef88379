with source as (
    select * from {{ source('raw_tdx', 'security') }}
),

renamed as (
    select
        code,
        exchange,
        trim(name) as name,
        instrument_type,
        is_listed,
        fetched_at
    from source
)

select * from renamed
