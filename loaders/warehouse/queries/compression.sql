select
    total_chunks,
    number_compressed_chunks as compressed_chunks,
    before_compression_total_bytes as before_bytes,
    after_compression_total_bytes as after_bytes
from hypertable_compression_stats(%(oid)s)
