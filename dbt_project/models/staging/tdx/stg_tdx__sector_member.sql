-- the files write T00 and 0 for a code without an industry
select
    sector_kind || ':' || sector_name as sector_id,
    sector_kind,
    sector_name,
    member,
    valid_from,
    coalesce(valid_to, date '9999-12-31') as valid_to,
    fetched_at
from {{ source('raw_tdx', 'sector_member') }}
where
    not (sector_kind like 'industry%' and sector_name in ('T00', '0'))
    and valid_from < coalesce(valid_to, date '9999-12-31')
