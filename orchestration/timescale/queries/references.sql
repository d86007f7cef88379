select format('alter table %%s drop constraint %%I', conrelid::regclass, conname)
from pg_constraint
where contype = 'f' and conparentid = 0 and confrelid = %(oid)s and conrelid <> %(oid)s
