-- The rows of one transaction share its number and appear once no older transaction is in flight: a
-- reader who asks for greater numbers than the last misses none that committed late.
select
    c.xid::text::bigint as change_no,
    c.table_name,
    c.key,
    lower(days) as first_changed_date,
    upper(days) - 1 as last_changed_date,
    c.changed_at
from {{ ref('stg_ops__change') }} as c
cross join unnest(c.dates) as days
where c.xid < pg_snapshot_xmin(pg_current_snapshot())
