select * from {{ ref('stg_ib__underlying_dividends') }}
