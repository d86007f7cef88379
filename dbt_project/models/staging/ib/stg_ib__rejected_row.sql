{{ rejected_rows('raw_ib') }}
