{%- set figures = inner_schema() ~ '.int_daily_figures__computed' -%}
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
union all
-- views that show one stored table have its changes under their own names
select
    c.xid::text::bigint as change_no,
    v.table_name,
    c.key,
    lower(days) as first_changed_date,
    upper(days) - 1 as last_changed_date,
    c.changed_at
from {{ ref('stg_ops__change') }} as c
cross join unnest(c.dates) as days
cross join (
    values ('{{ this.schema }}.daily_basic'), ('{{ this.schema }}.stock_limits')
) as v (table_name)
where c.table_name = '{{ figures }}' and c.xid < pg_snapshot_xmin(pg_current_snapshot())
