select format(
    'alter table %%s add constraint %%I %%s', %(table)s::text, conname, pg_get_constraintdef(oid)
)
from pg_constraint where conrelid = %(oid)s and contype in ('p', 'u')
union all
select pg_get_indexdef(i.indexrelid)
from pg_index as i
where i.indrelid = %(oid)s
    and not exists (
        select 1 from pg_constraint as c where c.conindid = i.indexrelid and c.contype <> 'f'
    )
union all
select format(
    'alter table %%s add constraint %%I %%s',
    conrelid::regclass,
    conname,
    pg_get_constraintdef(oid)
)
from pg_constraint
where contype = 'f' and conparentid = 0 and %(oid)s in (conrelid, confrelid)
union all
select pg_get_statisticsobjdef(oid) from pg_statistic_ext where stxrelid = %(oid)s
union all
select format(
    'alter statistics %%I.%%I set statistics %%s',
    stxnamespace::regnamespace,
    stxname,
    stxstattarget
)
from pg_statistic_ext where stxrelid = %(oid)s and stxstattarget >= 0
union all
select format('alter table %%s set (%%s)', %(table)s::text, string_agg(format(
    '%%s%%s=%%L', o.prefix, split_part(o.given, '=', 1), substr(o.given, strpos(o.given, '=') + 1)
), ', '))
from (
    select '' as prefix, unnest(reloptions) as given from pg_class
    where oid = %(oid)s and relkind = 'r'
    union all
    select 'toast.', unnest(t.reloptions) from pg_class as c
    inner join pg_class as t on c.reltoastrelid = t.oid where c.oid = %(oid)s
) as o
having count(*) > 0
union all
select format(
    'grant %%s%%s on %%s to %%s%%s',
    g.privilege_type,
    '(' || quote_ident(a.attname) || ')',
    %(table)s::text,
    case g.grantee when 0 then 'public' else quote_ident(pg_get_userbyid(g.grantee)) end,
    case when g.is_grantable then ' with grant option' end
)
from pg_class as c
cross join lateral (
    select null as attname, c.relacl as acl
    union all
    select attname, attacl from pg_attribute where attrelid = c.oid and not attisdropped
) as a
cross join lateral aclexplode(a.acl) as g
where c.oid = %(oid)s and g.grantee <> c.relowner
union all
select format(
    'comment on table %%s is %%L', %(table)s::text, obj_description(%(oid)s, 'pg_class')
)
where obj_description(%(oid)s, 'pg_class') is not null
union all
select format('alter table %%s owner to %%I', %(table)s::text, pg_get_userbyid(relowner))
from pg_class where oid = %(oid)s and pg_get_userbyid(relowner) <> current_user
