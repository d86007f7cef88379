{{ config(materialized='followed', unique_key=['variety', 'trading_day']) }}

with recursive with_day_before as (
    select
        *,
        lag(underlying_contract) over (partition by variety order by trading_day)
            as contract_of_day_before
    from {{ ref('int_main_contracts__of_days') }}
    where is_chosen
),

-- a day without a contract has no row, and ends a segment
numbered as (
    select
        *,
        count(*) filter (where underlying_contract is distinct from contract_of_day_before)
            over (partition by variety order by trading_day) as segment_id,
        lag(underlying_contract) over (partition by variety order by trading_day) as prev_contract
    from with_day_before
    where underlying_contract is not null
),

openings as (
    select * from numbered where underlying_contract is distinct from contract_of_day_before
),

chained as (
    select
        variety,
        segment_id,
        {{ segment_hash("''", 'variety', 'underlying_contract', 'trading_day') }} as schedule_hash
    from openings
    where segment_id = 1
    union all
    select
        o.variety,
        o.segment_id,
        {{ segment_hash('c.schedule_hash', 'o.variety', 'o.underlying_contract', 'o.trading_day') }}
            as schedule_hash
    from chained as c
    inner join openings as o on c.variety = o.variety and c.segment_id + 1 = o.segment_id
)

select
    n.variety,
    'KQ.m@' || n.variety as symbol,
    n.trading_day,
    n.underlying_contract,
    n.segment_id::integer as segment_id,
    n.prev_contract,
    coalesce(n.prev_contract <> n.underlying_contract, false) as is_switch,
    c.schedule_hash,
    n.route as source
from numbered as n
inner join chained as c on n.variety = c.variety and n.segment_id = c.segment_id
