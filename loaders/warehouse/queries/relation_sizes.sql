-- the sizes of chunks are not part of a hypertable's own size
select
    n.nspname as schema,
    c.relname as relation,
    pg_total_relation_size(c.oid) as total_bytes,
    -- before the first analyze the statistics of writes stand in for the planner's estimate
    case when c.reltuples >= 0 then c.reltuples::bigint else pg_stat_get_live_tuples(c.oid) end
        as rows_estimate
from pg_class as c
inner join pg_namespace as n on n.oid = c.relnamespace
where n.nspname = any(%s) and c.relkind in ('r', 'm', 'p')
order by total_bytes desc, schema, relation
