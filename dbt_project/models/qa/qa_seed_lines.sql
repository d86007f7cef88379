-- the loaders read two files, and write into settings what is wrong with them
with mistakes as (
    select regexp_split_to_table(value, '\n') as mistake
    from {{ ref('stg_ops__setting') }}
    where key in ('ib_universe_mistakes', 'tdx_instrument_range_mistakes') and value <> ''
)

select
    'seed_line' as check_name,
    'error' as severity,
    split_part(mistake, ': ', 1) as subject,
    null::date as trade_date,
    substr(mistake, strpos(mistake, ': ') + 2)
    || '. This line was ignored; fix: correct it, then quotemill build' as evidence
from mistakes
