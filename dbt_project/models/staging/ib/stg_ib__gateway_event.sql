select
    ingest_id,
    seq as event_no,
    occurred_at,
    trade_date,
    error_code,
    action,
    text as error_message
from {{ source('raw_ib', 'gateway_event') }}
