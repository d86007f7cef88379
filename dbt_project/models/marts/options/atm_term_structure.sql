-- A view over tables of one row per slot and expiry: filter by symbol and trade_date.
select
    {{ chain_columns('s') }},
    f.dte,
    f.years,
    f.underlying_price,
    f.forward,
    s.atm_iv,
    s.atm_iv * s.atm_iv * f.years as total_variance,
    s.quote_count,
    f.data_quality_flag
from {{ ref('int_option_smiles__interpolated') }} as s
inner join {{ ref('forwards') }} as f
    on {{ same_chain('s', 'f') }}
where s.atm_iv is not null
