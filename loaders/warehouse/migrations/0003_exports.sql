-- Whether the numbers of an export are exact decimals; else doubles.
alter table ops.exports add column if not exists is_exact boolean not null default true;
