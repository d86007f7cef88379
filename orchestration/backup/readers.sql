-- relations and functions outside some schemas that depend on what is in them; TimescaleDB's own
-- belong to it
with inside as (
    select n.oid
    from pg_namespace as n
    where n.nspname = any(%(schemas)s)
),

ours as (
    select
        'pg_class'::regclass as kind,
        c.oid
    from pg_class as c
    where c.relnamespace in (select i.oid from inside as i)
    union all
    select
        'pg_type'::regclass,
        t.oid
    from pg_type as t
    where t.typnamespace in (select i.oid from inside as i)
    union all
    select
        'pg_proc'::regclass,
        p.oid
    from pg_proc as p
    where p.pronamespace in (select i.oid from inside as i)
)

select distinct format('%%I.%%I', n.nspname, coalesce(c.relname, f.proname))
from pg_depend as d
inner join ours as o on d.refclassid = o.kind and d.refobjid = o.oid
left join pg_rewrite as w on d.classid = 'pg_rewrite'::regclass and d.objid = w.oid
left join pg_constraint as k on d.classid = 'pg_constraint'::regclass and d.objid = k.oid
left join pg_attrdef as a on d.classid = 'pg_attrdef'::regclass and d.objid = a.oid
left join pg_class as c
    on
        c.oid = coalesce(
            w.ev_class,
            nullif(k.conrelid, 0),
            a.adrelid,
            case when d.classid = 'pg_class'::regclass then d.objid end
        )
left join pg_proc as f on d.classid = 'pg_proc'::regclass and d.objid = f.oid
inner join pg_namespace as n on coalesce(c.relnamespace, f.pronamespace) = n.oid
where
    d.deptype = 'n'
    and n.oid not in (select i.oid from inside as i)
    and not starts_with(n.nspname, '_timescaledb')
order by 1
