{{ stale_datasets(ref('freshness_tq')) }}
