select r.*, {status} as status from ops.runs as r
where r.run_id in (
    select k.run_id from (
        select run_id, row_number() over (
            partition by coalesce(schedule, command) order by started_at desc, run_id desc
        ) as place
        from ops.runs
        where build_id is null
            and started_at >= coalesce(%(since)s::timestamptz, '-infinity')
            and started_at <= coalesce(%(until)s::timestamptz, 'infinity')
    ) as k where k.place <= %(limit)s
)
order by r.started_at desc, r.run_id desc
