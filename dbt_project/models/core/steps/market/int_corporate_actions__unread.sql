-- Rows that would change prices: no second copy of an event that counts, no category without an
-- effect, no day that an override decides.
select
    r.code,
    r.ex_date,
    r.row_key,
    r.field,
    r.rule
from {{ ref('stg_tdx__rejected_row') }} as r
where
    r.dataset in ('corporate_actions', 'capital_events')
    and not r.is_withdrawn
    and r.code is not null
    and coalesce(r.category, 1) in (1, 11)
    and r.rule not like 'repeats %'
    and r.rule not like '% has this code, day and category already, in another file'
    and not exists (
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
