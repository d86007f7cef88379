select
    code,
    last_bar_date,
    trade_date,
    fetched_at
from {{ source('raw_tdx', 'answer_gap') }}
