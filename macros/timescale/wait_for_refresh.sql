{#
    SQL: wait until neither the policy nor a build refreshes a continuous aggregate, as the server
    refuses two at a time. Only sessions of writers count: any role may give its own any name. Two
    builds that begin at the same moment are not kept apart, and one may fail.

    hypertable: of its rows, by which older servers name the policy's
#}
{% macro wait_for_refresh(relation, hypertable) -%}
    do $wait$
    begin
        while exists (
            select 1
            from pg_stat_activity as a
            left join timescaledb_information.jobs as j
                on
                    a.application_name = j.application_name
                    and j.proc_name = 'policy_refresh_continuous_aggregate'
                    and j.hypertable_schema || '.' || j.hypertable_name in (
                        '{{ relation.schema }}.{{ relation.identifier }}', '{{ hypertable }}'
                    )
            where
                a.datname = current_database()
                and a.pid <> pg_backend_pid()
                and has_table_privilege(a.usesysid, 'ops.locks', 'update')
                and (
                    j.job_id is not null
                    or (
                        a.state = 'active'
                        and a.query like '%call refresh_continuous_aggregate(%'
                        and a.query like '%"{{ relation.identifier }}"%'
                    )
                )
        ) loop
            perform pg_sleep(0.1);
            perform pg_stat_clear_snapshot();
        end loop;
    end
    $wait$
{%- endmacro %}
