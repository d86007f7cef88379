-- Records of gbbq count if no other source is set: beside one they landed for changes of capital.
with source_of_events as (
    select not exists (
        select 1 from {{ ref('stg_ops__setting') }}
        where key = 'corporate_actions' and value in ('csv', 'xdxr')
    ) as is_gbbq
),

-- a record that the file repeats is one event
records as (
    select
        e.code,
        e.event_date as ex_date,
        e.category,
        (case e.category when 1 then e.value1 else 0 end)::numeric(24, 9) as cash_per10_yuan,
        (case e.category when 1 then e.value3 else 0 end)::numeric(24, 9) as bonus_total_per10,
        (case e.category when 1 then e.value4 else 0 end)::numeric(24, 9) as rights_per10,
        (case e.category when 1 then e.value2 else 0 end)::numeric(24, 9) as rights_price_yuan,
        (case e.category when 11 then e.value3 end)::numeric(24, 9) as split_ratio,
        max(e.fetched_at) as fetched_at
    from {{ source('raw_tdx', 'capital_event') }} as e
    where
        e.category in (1, 11, 15)
        and (select s.is_gbbq from source_of_events as s)
        -- the file has the whole market
        and exists (
            select 1 from {{ source('raw_tdx', 'security') }} as l
            where l.code = e.code and l.instrument_type <> 'index'
        )
    group by 1, 2, 3, 4, 5, 6, 7, 8
),

judged as (
    select
        *,
        case
            when split_ratio <= 0 then 'value3'
            when cash_per10_yuan < 0 then 'value1'
            when rights_price_yuan < 0 then 'value2'
            when bonus_total_per10 < 0 then 'value3'
            when rights_per10 < 0 then 'value4'
        end as field
    from records
)

select
    code,
    ex_date,
    'gbbq' as source,
    (row_number() over (
        partition by code, ex_date, field is null
        order by
            category, cash_per10_yuan, bonus_total_per10, rights_per10, rights_price_yuan,
            split_ratio
    ))::integer as seq,
    category,
    cash_per10_yuan,
    bonus_total_per10,
    rights_per10,
    rights_price_yuan,
    split_ratio,
    null::numeric(24, 9) as total_shares_10k,
    null::numeric(24, 9) as float_shares_10k,
    null::boolean as adjusts_price,
    field is not null as is_withdrawn,
    'gbbq' as source_ref,
    fetched_at,
    field,
    case
        when field is null then null
        when category = 11 then 'must be above 0 in a row of category 11'
        else 'must not be negative'
    end as rule
from judged
union all
select
    code,
    ex_date,
    source,
    seq,
    category,
    coalesce(cash_per10_yuan, 0) as cash_per10_yuan,
    coalesce(bonus_total_per10, 0) as bonus_total_per10,
    coalesce(rights_per10, 0) as rights_per10,
    coalesce(rights_price_yuan, 0) as rights_price_yuan,
    split_ratio,
    total_shares_10k,
    float_shares_10k,
    adjusts_price,
    is_withdrawn,
    source_ref,
    fetched_at,
    null as field,
    null as rule
from {{ source('raw_tdx', 'corporate_action') }}
-- of a load that stored them here
where source <> 'gbbq' or not (select s.is_gbbq from source_of_events as s)
