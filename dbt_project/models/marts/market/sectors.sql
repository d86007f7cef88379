{{ config(
    materialized='followed',
    unique_key=['sector_id'],
) }}

with members as (
    select
        sector_id,
        count(*) as member_count
    from {{ ref('sector_members') }}
    where valid_to = date '9999-12-31'
    group by sector_id
)

select
    t.sector_id,
    t.sector_kind,
    t.sector_name,
    coalesce(max(m.member_count), 0)::integer as member_count,
    (
        count(*) filter (where t.valid_to = date '9999-12-31') - coalesce(max(m.member_count), 0)
    )::integer as unlisted_member_count,
    min(t.valid_from) as valid_from,
    max(t.valid_to) as valid_to
from {{ ref('stg_tdx__sector_member') }} as t
left join members as m on t.sector_id = m.sector_id
group by t.sector_id, t.sector_kind, t.sector_name
