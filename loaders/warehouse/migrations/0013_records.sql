-- The checks of a self-test are in the row of its run; a view lists them as the table did.
alter table ops.testing_runs add column if not exists checks jsonb not null default '[]';

do $$
declare
    emptied text;
begin
    if exists (
        select 1 from pg_tables where schemaname = 'ops' and tablename = 'testing_logs'
    ) then
        update ops.testing_runs as r set checks = l.checks
        from (
            select run_id, jsonb_agg(to_jsonb(t) - 'run_id' order by no) as checks
            from ops.testing_logs as t
            group by run_id
        ) as l
        where r.run_id = l.run_id;
        drop table ops.testing_logs;
    end if;

    -- files that are about to replace others: one archive at a time does so
    if to_regclass('ops.archive_swaps') is not null then
        insert into ops.settings (key, value)
        select 'archive_swap:' || schema_name, plan::text from ops.archive_swaps;
        drop table ops.archive_swaps;
    end if;

    -- only the newest comparison is read; our views over the tables are empty until the
    -- next build drops them
    if to_regclass('ops.reconciliation_runs') is not null then
        insert into ops.settings (key, value)
        select
            'reconciliation:newest',
            jsonb_build_object(
                'run_id', run_id, 'first_date', min(first_date), 'last_date', max(last_date),
                'codes', jsonb_agg(code)
            )::text
        from ops.reconciliation_sample
        where run_id = (select max(run_id) from ops.reconciliation_runs)
        group by run_id;
        for emptied in
            select format(
                'create or replace view %s as select %s where false',
                a.attrelid::regclass,
                string_agg(
                    format('null::%s as %I', format_type(a.atttypid, a.atttypmod), a.attname),
                    ', ' order by a.attnum
                )
            )
            from ops.managed_relation as m
            inner join pg_attribute as a
                on to_regclass(format('%I.%I', m.schema_name, m.relation_name)) = a.attrelid
            where
                m.relation_name in ('stg_ops__reconciliation_run', 'stg_ops__reconciliation_sample')
                and a.attnum > 0
            group by a.attrelid
        loop
            execute emptied;
        end loop;
        drop table ops.reconciliation_sample, ops.reconciliation_runs;
    end if;
end
$$;

create or replace view ops.testing_logs as
select r.run_id, c.no, c.name, c.status, c.elapsed_ms, c.reason, c.evidence
from
    ops.testing_runs as r,
    jsonb_to_recordset(r.checks) as c (
        no integer, name text, status text, elapsed_ms integer, reason text, evidence jsonb
    );
