select
    f.schema,
    f.name,
    (
        select array_agg(a.attname::text order by a.attnum) from pg_attribute as a
        where a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped
    ),
    (
        select array_agg(format_type(a.atttypid, a.atttypmod) order by a.attnum)
        from pg_attribute as a
        where a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped
    ),
    f.time_column,
    f.chunk,
    (
        select coalesce(array_agg(c.relname::text order by c.relname), '{}')
        from pg_index as i
        inner join pg_class as c on i.indexrelid = c.oid
        where i.indrelid = r.oid
    ),
    (
        select coalesce(array_agg(k.attname::text order by k.attnum), '{}')
        from pg_attribute as k
        where k.attrelid = r.oid and k.attname in (
            -- TimescaleDB makes an index of each column that it groups by, with the time
            select a.attname
            from timescaledb_information.continuous_aggregates as g
            inner join pg_index as i
                on i.indrelid = format(
                    '%%I.%%I',
                    g.materialization_hypertable_schema,
                    g.materialization_hypertable_name
                )::regclass
            inner join timescaledb_information.dimensions as d
                on
                    g.materialization_hypertable_schema = d.hypertable_schema
                    and g.materialization_hypertable_name = d.hypertable_name
            inner join pg_attribute as t on i.indrelid = t.attrelid and d.column_name = t.attname
            inner join pg_attribute as a on i.indrelid = a.attrelid and a.attnum = any(i.indkey)
            where
                g.view_schema = f.schema
                and g.view_name = f.name
                and i.indnatts = 2
                and i.indkey[1] = t.attnum
        )
    )
from (
    select
        d.hypertable_schema::text as schema,
        d.hypertable_name::text as name,
        d.column_name::text as time_column,
        coalesce(format('interval %%L', d.time_interval), d.integer_interval::text) as chunk
    from timescaledb_information.dimensions as d
    where d.dimension_number = 1 and d.hypertable_schema = any(%(schemas)s)
    union all
    select a.view_schema::text, a.view_name::text, null, null
    from timescaledb_information.continuous_aggregates as a
    where a.view_schema = any(%(schemas)s)
) as f
inner join pg_class as r on r.oid = format('%%I.%%I', f.schema, f.name)::regclass
order by f.schema, f.name
