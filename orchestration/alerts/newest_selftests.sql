select distinct on (r.source) r.source, r.status, r.failed, r.total, r.started_at, (
    select string_agg(l.no::text, ' ' order by l.no) from ops.testing_logs as l
    where l.run_id = r.run_id and l.status = 'failed'
)
from ops.testing_runs as r where r.kind = 'selftest' order by r.source, r.run_id desc
