{{ config(
    materialized='followed',
    unique_key=['sector_id'],
) }}

-- a file may name a stock by the code before a change and by the new one
with members as (
    select
        m.sector_id,
        count(*) as code_count,
        count(distinct s.current_code) as member_count
    from {{ ref('sector_members') }} as m
    inner join {{ ref('symbol_dim') }} as s on m.code = s.code
    where m.valid_to = date '9999-12-31'
    group by m.sector_id
)

select
    t.sector_id,
    t.sector_kind,
    t.sector_name,
    coalesce(max(m.member_count), 0)::integer as member_count,
    (
        count(*) filter (where t.valid_to = date '9999-12-31') - coalesce(max(m.code_count), 0)
    )::integer as unlisted_member_count,
    min(t.valid_from) as valid_from,
    max(t.valid_to) as valid_to
from {{ ref('stg_tdx__sector_member') }} as t
left join members as m on t.sector_id = m.sector_id
group by t.sector_id, t.sector_kind, t.sector_name
