-- Rows that would change prices: no second copy of an event that counts, no category without an
-- effect, no day that an override decides.
with refused as (
    select
        code,
        ex_date,
        row_key,
        field,
        rule
    from {{ ref('stg_tdx__rejected_row') }}
    where
        dataset in ('corporate_actions', 'capital_events')
        and not is_withdrawn
        and code is not null
        and coalesce(category, 1) in (1, 11)
        and rule not like 'repeats %'
        and rule not like '% has this code, day and category already, in another file'
    union all
    select
        code,
        ex_date,
        concat_ws(' ', source, code, to_char(ex_date, 'YYYY-MM-DD'), category, seq) as row_key,
        field,
        rule
    from {{ ref('stg_tdx__corporate_action') }}
    where rule is not null
)

select r.*
from refused as r
where
    not exists (
        select 1 from {{ ref('stg_tdx__corporate_action') }} as a
        where
            a.code = r.code
            and a.ex_date = r.ex_date
            and not a.is_withdrawn
            and concat_ws(' ', a.code, to_char(a.ex_date, 'YYYY-MM-DD'), a.source, a.seq)
            = r.row_key
    )
    -- a code with a better source ignores the others
    and not exists (
        select 1 from {{ ref('stg_tdx__corporate_action') }} as a
        inner join {{ ref('int_corporate_actions__sources') }} as p on a.source = p.source
        inner join {{ ref('int_corporate_actions__sources') }} as o
            on o.source = coalesce(substring(r.row_key from '^(gbbq|xdxr) '), 'csv')
        where a.code = r.code and not a.is_withdrawn and p.place < o.place
    )
    and not exists (
        select 1 from {{ ref('int_corporate_actions__overrides') }} as o
        where o.code = r.code and o.ex_date = r.ex_date
    )
