{{ config(
    materialized='followed',
    unique_key=['sector_id', 'code', 'valid_from'],
    indexes=[{'columns': ['code']}],
) }}

-- the client's blocks have six digits only: no stock shares them with another stock or a fund
with listed as (
    select
        code,
        right(code, 6) as digits,
        row_number() over (
            partition by right(code, 6) order by instrument_type <> 'stock', code
        ) as place
    from {{ ref('stg_tdx__security') }}
    where instrument_type <> 'index'
)

select
    m.sector_id,
    s.code,
    m.valid_from,
    m.valid_to
from {{ ref('stg_tdx__sector_member') }} as m
inner join listed as s
    on
        right(m.member, 6) = s.digits
        and case when length(m.member) = 6 then s.place = 1 else m.member = s.code end
