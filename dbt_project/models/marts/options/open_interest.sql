select
    o.symbol,
    o.conid,
    o.oi_asof_date,
    c.expiry,
    c.strike,
    c.option_right,
    o.open_interest,
    o.captured_at,
    o.ingest_id
from {{ ref('stg_ib__open_interest') }} as o
inner join {{ ref('stg_ib__contract') }} as c on o.conid = c.conid
