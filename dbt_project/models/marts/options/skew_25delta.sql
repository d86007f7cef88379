select
    {{ chain_columns('s') }},
    f.dte,
    f.years,
    s.atm_iv,
    s.put_25delta_iv,
    s.call_25delta_iv,
    s.put_25delta_iv - s.call_25delta_iv as skew,
    (s.put_25delta_iv + s.call_25delta_iv) / 2 - s.atm_iv as butterfly,
    s.quote_count,
    f.data_quality_flag
from {{ ref('int_option_smiles__interpolated') }} as s
inner join {{ ref('forwards') }} as f
    on {{ same_chain('s', 'f') }}
where s.put_25delta_iv is not null and s.call_25delta_iv is not null
