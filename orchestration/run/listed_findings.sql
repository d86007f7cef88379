select
    finding_id as number,
    'f' || md5(concat_ws('|', check_name, severity, subject, key_date, evidence_hash)) as key,
    severity, check_name, subject, trade_date, state, evidence,
    first_seen_at, acknowledged_at, acknowledged_by, reason
from ({current}) as f
where severity = coalesce(%(severity)s, severity) and state = any(%(states)s)
order by
    array_position(array['error', 'warning', 'info'], severity), check_name, subject, trade_date
