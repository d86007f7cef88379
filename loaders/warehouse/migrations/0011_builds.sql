-- A build is a run: its rows of ops.runs have a number, the fingerprint of the dbt project ('part'
-- where only some models were named) and figures, and no host. One that was killed ends without an
-- exit code.
alter table ops.runs
alter column host drop not null,
alter column pid drop not null,
add column if not exists build_id bigint unique,
add column if not exists fingerprint text,
add column if not exists figures jsonb not null default '{}';

do $$
begin
    if exists (select 1 from pg_tables where schemaname = 'ops' and tablename = 'builds') then
        insert into ops.runs (
            run_id, command, started_at, finished_at, exit_code, error, build_id, fingerprint,
            figures
        )
        select
            'build-' || build_id, command, started_at,
            case when status <> 'running' then coalesce(finished_at, started_at) end,
            case status when 'succeeded' then 0 when 'failed' then 1 when 'cancelled' then 130 end,
            error, build_id, fingerprint,
            jsonb_strip_nulls(jsonb_build_object(
                'models_built', models_built, 'rows_written', rows_written,
                'tests_passed', tests_passed, 'tests_warned', tests_warned,
                'tests_failed', tests_failed, 'nodes', nodes, 'nodes_done', nodes_done, 'node', node
            ))
        from ops.builds;
        drop table ops.builds;
    end if;
end
$$;

create or replace view ops.builds as
select
    build_id,
    case
        when finished_at is null then 'running'
        when exit_code is null then 'interrupted'
        when exit_code = 0 then 'succeeded'
        when exit_code = 130 then 'cancelled'
        else 'failed'
    end as status,
    command, fingerprint, started_at, finished_at,
    (figures ->> 'models_built')::integer as models_built,
    (figures ->> 'rows_written')::bigint as rows_written,
    (figures ->> 'tests_passed')::integer as tests_passed,
    (figures ->> 'tests_warned')::integer as tests_warned,
    (figures ->> 'tests_failed')::integer as tests_failed,
    error,
    (figures ->> 'nodes')::integer as nodes,
    (figures ->> 'nodes_done')::integer as nodes_done,
    figures ->> 'node' as node
from ops.runs
where build_id is not null;
