select
    code,
    ex_date,
    source,
    seq,
    category,
    coalesce(cash_per10_yuan, 0) as cash_per10_yuan,
    coalesce(bonus_total_per10, 0) as bonus_total_per10,
    coalesce(rights_per10, 0) as rights_per10,
    coalesce(rights_price_yuan, 0) as rights_price_yuan,
    split_ratio,
    total_shares_10k,
    float_shares_10k,
    adjusts_price,
    is_withdrawn,
    source_ref,
    fetched_at
from {{ source('raw_tdx', 'corporate_action') }}
