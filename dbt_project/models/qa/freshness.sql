{{ read_each('freshness', [
    ref('freshness_tdx'),
    ref('freshness_tq'),
    ref('freshness_ib'),
]) }}
