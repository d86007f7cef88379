with decisions as (
    select distinct on (stage)
        stage,
        action,
        decided_at,
        decided_by
    from {{ ref('stg_ops__option_gate') }}
    order by stage asc, decided_at desc
)

-- the first stage is open from the start
select
    s.stage,
    s.stage = 0 or coalesce(d.action = 'open', false) as is_open,
    case
        when s.stage = 0 then date '1900-01-01'
        when d.action = 'open' then (d.decided_at at time zone 'America/New_York')::date
    end as open_date,
    d.decided_at,
    d.decided_by
from {{ ref('option_stages') }} as s
left join decisions as d on s.stage = d.stage
