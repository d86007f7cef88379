{{ rejected_rows('raw_tq') }}
