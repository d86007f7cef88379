-- rows of qa.findings, each with what ops.seen_findings stores about it
with current_rows as (
    select distinct
        check_name, severity, subject, trade_date, evidence, md5(evidence) as evidence_hash,
        -- two checks report a state: their date is how far something has come, so it is no key
        case when check_name not in ('stale_dataset', 'calendar_horizon') then trade_date end
            as key_date,
        to_jsonb(f) ->> 'model' as model -- null until a build of this version
    from {findings} as f
),

current_by_key as (
    select *, count(*) over (partition by check_name, severity, subject, key_date) as sharing
    from current_rows
),

seen_by_key as (
    select *, count(*) over (partition by check_name, severity, subject, trade_date) as sharing
    from ops.seen_findings
    where qa_schema = '{qa}'
)

select
    f.check_name, f.severity, f.subject, f.trade_date, f.evidence, f.evidence_hash, f.key_date,
    f.model, s.finding_id, s.evidence_hash as seen_hash, s.model as seen_model,
    s.first_run, s.first_seen_at,
    s.acknowledged_at, s.acknowledged_by, s.reason, coalesce(s.is_told, false) as is_told,
    case
        when s.acknowledged_at is not null then 'acknowledged'
        when s.first_run < (
            select value::bigint from ops.settings where key = 'judgement:{qa}'
        ) then 'standing'
        else 'new'
    end as state
from current_by_key as f
left join seen_by_key as s
    on f.check_name = s.check_name
    and f.severity = s.severity
    and f.subject = s.subject
    and coalesce(f.key_date, 'infinity') = coalesce(s.trade_date, 'infinity')
    and (f.evidence_hash = s.evidence_hash or (f.sharing = 1 and s.sharing = 1))
