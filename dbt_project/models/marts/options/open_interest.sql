select
    o.symbol,
    o.conid,
    o.oi_asof_date,
    {{ contract_term('expiry') }} as expiry,
    {{ contract_term('strike') }} as strike,
    k.option_right,
    o.open_interest,
    o.captured_at,
    o.ingest_id,
    o.is_final
from {{ ref('stg_ib__open_interest') }} as o
inner join {{ ref('stg_ib__contract') }} as k on o.conid = k.conid
{{ former_terms_joined('o', day='oi_asof_date') }}
