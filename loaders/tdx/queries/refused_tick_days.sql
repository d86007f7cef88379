-- an answer that comes again leaves the row unchanged, and so the time of the first one
select row_key, payload::json ->> 'digest'
from raw_tdx.rejected_row
where dataset = 'tick_trade' and field = 'price'
    and (fetched_at at time zone 'UTC' + interval '8 hours')::date < %s
