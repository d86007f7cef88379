select 'row-level security' from pg_class where oid = %(oid)s and relrowsecurity
union all
select 'the policy ' || quote_ident(polname) from pg_policy where polrelid = %(oid)s
union all
select 'the trigger ' || quote_ident(t.tgname)
from pg_trigger as t
where t.tgrelid = %(oid)s and not t.tgisinternal and not exists (
    select 1 from pg_depend as d
    inner join pg_extension as e on d.refobjid = e.oid and d.refclassid = 'pg_extension'::regclass
    where d.classid = 'pg_proc'::regclass and d.objid = t.tgfoid and e.extname = 'timescaledb'
)
union all
select 'the publication ' || quote_ident(p.pubname)
from pg_publication_rel as r
inner join pg_publication as p on r.prpubid = p.oid
where r.prrelid = %(oid)s
