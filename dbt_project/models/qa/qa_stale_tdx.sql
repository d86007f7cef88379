{{ stale_datasets(ref('freshness_tdx')) }}
