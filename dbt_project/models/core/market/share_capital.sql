{{ config(
    materialized='followed',
    unique_key=['code', 'valid_from'],
    meta={
        'follows': {
            'raw_tdx.capital_event': 'code',
            'int_capital_events__inherited': 'code',
        },
        'by': 'valid_from',
    },
) }}

-- of a code that changed the source has the records under the new one
with landed as (
    select * from {{ changed(ref('stg_tdx__capital_event'), by='event_date') }}
    union all
    select * from {{ changed(ref('int_capital_events__inherited'), by='event_date') }}
),

-- only these categories have the shares before and after, in units of 10,000
counts as materialized (
    select * from landed
    where category in (2, 3, 5, 7, 8, 9, 10) and value3 >= 0 and value4 > 0
),

-- of several on one day each starts where another ended: the last counts
placed as (
    select
        c.*,
        row_number() over (
            partition by c.code, c.event_date
            order by o.code is not null, c.category <> 5, c.category, -c.seq
        ) as place
    from counts as c
    left join counts as o
        on
            c.code = o.code
            and c.event_date = o.event_date
            and c.value3 = o.value1
            and c.value4 = o.value2
            and c.category <> o.category
)

select
    code,
    event_date as valid_from,
    lead(event_date, 1, date '9999-12-31') over (partition by code order by event_date) as valid_to,
    (10000 * value3)::bigint as float_shares,
    (10000 * value4)::bigint as total_shares
from placed
where place = 1
