{{ config(
    materialized='followed',
    unique_key=['code', 'valid_from'],
    meta={'by': 'valid_from'},
) }}

with rules as (
    select
        board,
        valid_from,
        limit_percent::numeric(5, 2) as limit_percent,
        st_limit_percent::numeric(5, 2) as st_limit_percent,
        days_without_limit,
        lead(valid_from, 1, date '9999-12-31') over (partition by board order by valid_from)
            as valid_to
    from {{ ref('price_limits') }}
),

stocks as (
    select
        code,
        price_decimals,
        list_date,
        {{ board('code') }} as board
    from {{ ref('int_listings__dated') }}
    where instrument_type = 'stock'
),

-- the name of a delisting period has the word for delisting; an inferred one may have had it before
names as (
    select
        *,
        case
            when
                basis = 'observed'
                and name like '%退%'
                and lag(name) over (partition by code order by valid_from) not like '%退%'
                then valid_from
        end as delisting_from
    from {{ ref('symbol_names') }}
),

-- of a code without a name one stretch
stretches as (
    select
        s.*,
        coalesce(n.valid_from, date '1900-01-01') as valid_from,
        coalesce(n.valid_to, date '9999-12-31') as valid_to,
        coalesce(n.is_st, false) as is_st,
        coalesce(n.basis, 'inferred') as basis,
        n.delisting_from
    from stocks as s
    left join names as n on s.code = n.code
)

select
    s.code,
    greatest(s.valid_from, r.valid_from) as valid_from,
    least(s.valid_to, r.valid_to) as valid_to,
    s.price_decimals,
    r.limit_percent,
    r.st_limit_percent,
    s.is_st,
    s.basis,
    -- those of the rules on the day of the listing
    (
        select l.days_without_limit from rules as l
        where l.board = s.board and l.valid_from <= s.list_date and l.valid_to > s.list_date
    ) as days_without_limit,
    s.delisting_from
from stretches as s
inner join rules as r
    on s.board = r.board and s.valid_from < r.valid_to and s.valid_to > r.valid_from
