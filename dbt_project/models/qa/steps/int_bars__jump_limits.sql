with rules as (
    select
        *,
        lag(valid_from) over board_rules is null as is_first,
        lead(valid_from, 1, date '9999-12-31') over board_rules as valid_to
    from {{ ref('price_limits') }}
    window board_rules as (partition by board order by valid_from)
)

-- the days before a board's first rule are judged by it
select
    board,
    case when is_first then date '1900-01-01' else valid_from end as valid_from,
    valid_to,
    (0.005 + limit_percent / 100)::numeric(5, 4) as allowed
from rules
