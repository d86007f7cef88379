with failed as (
    select
        symbol,
        trade_date,
        error_type,
        error_code,
        slot_label,
        conid,
        error_message
    from {{ ref('stg_ib__chain_snapshot') }}
    where snapshot_error
    union all
    select
        symbol,
        trade_date,
        error_type,
        error_code,
        'close' as slot_label,
        conid,
        error_message
    from {{ ref('stg_ib__chain_close') }}
    where snapshot_error
),

counted as (
    select
        symbol,
        trade_date,
        error_type,
        error_code,
        count(*)::integer as row_count,
        count(distinct conid)::integer as contract_count,
        array_agg(distinct slot_label order by slot_label) as slot_labels,
        min(error_message) as error_message
    from failed
    group by symbol, trade_date, error_type, error_code
),

-- a code with several meanings has a row for each; the kind of the error distinguishes them
meanings as (
    select distinct on (error_code, error_type)
        error_code,
        error_type,
        meaning,
        handling
    from {{ ref('ib_error_codes') }}
    order by error_code asc, error_type asc, message_has asc nulls first
)

select
    c.symbol,
    c.trade_date,
    c.error_type,
    c.error_code,
    coalesce(m.meaning, 'not in ib_error_codes.csv') as meaning,
    coalesce(m.handling, 'The row fails; the others go on.') as handling,
    c.row_count,
    c.contract_count,
    c.slot_labels,
    c.error_message
from counted as c
left join meanings as m
    on c.error_type = m.error_type and c.error_code is not distinct from m.error_code
