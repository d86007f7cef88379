select
    trade_date,
    sample_time,
    symbol,
    ingest_run_type,
    planned as planned_count,
    captured as captured_count,
    errors as error_count,
    delayed as delayed_count,
    pacing_events as pacing_event_count,
    attempts as attempt_count,
    started_at,
    finished_at,
    status
from {{ source('raw_ib', 'slot_run') }}
