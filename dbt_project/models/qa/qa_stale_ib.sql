{{ stale_datasets(ref('freshness_ib')) }}
