{{ config(
    materialized='incremental',
    unique_key=['code', 'valid_from'],
    meta={
        'follows': {'raw_tdx.capital_event': 'code'},
        'by': 'valid_from',
    },
) }}

-- these alone tell the shares before and after, in units of 10,000
with counts as materialized (
    select * from {{ changed(ref('stg_tdx__capital_event'), by='event_date') }}
    where category in (2, 3, 5, 7, 8, 9, 10) and value3 >= 0 and value4 > 0
),

-- of several on a day each begins where another ended: the last one counts
placed as (
    select
        c.*,
        row_number() over (
            partition by c.code, c.event_date
            order by
                exists (
                    select 1 from counts as o
                    where
                        o.code = c.code and o.event_date = c.event_date and o.category <> c.category
                        and o.value1 = c.value3 and o.value2 = c.value4
                ),
                c.category <> 5, c.category, -c.seq
        ) as place
    from counts as c
)

select
    code,
    event_date as valid_from,
    lead(event_date, 1, date '9999-12-31') over (partition by code order by event_date) as valid_to,
    (10000 * value3)::bigint as float_shares,
    (10000 * value4)::bigint as total_shares
from placed
where place = 1
