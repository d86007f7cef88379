select distinct
    c.relkind::text,
    format('%%I.%%I', n.nspname, c.relname),
    array_to_string(c.reloptions, ', '),
    pg_get_viewdef(c.oid)
from pg_depend as d
inner join pg_rewrite as w on d.classid = 'pg_rewrite'::regclass and d.objid = w.oid
inner join pg_class as c on w.ev_class = c.oid
inner join pg_namespace as n on c.relnamespace = n.oid
where d.refclassid = 'pg_class'::regclass and d.refobjid = %(oid)s and c.oid <> %(oid)s
