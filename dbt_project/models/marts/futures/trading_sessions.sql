with stretches as (
    select
        variety,
        valid_from,
        lead(valid_from, 1, date '9999-12-31') over (partition by variety order by valid_from)
            as valid_to
    from {{ ref('stg_tq__trading_session') }}
    group by variety, valid_from
)

select
    s.variety,
    s.valid_from,
    v.valid_to,
    s.session,
    s.idx,
    s.start_s,
    s.end_s
from {{ ref('stg_tq__trading_session') }} as s
inner join stretches as v on s.variety = v.variety and s.valid_from = v.valid_from
