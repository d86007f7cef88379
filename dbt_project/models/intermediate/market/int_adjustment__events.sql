with actions as (
    select * from {{ ref('int_corporate_actions__chosen') }} where is_active
),

-- rows of one day are one event: quantities add up, money for rights as the sum of the products.
-- the money is per share held before a split of the same day
final as (
    select
        code,
        ex_date,
        trim_scale(
            (1 + sum(case category when 11 then 0 else m - 1 end))
            * quotemill_intermediate.nprod(case category when 11 then m else 1 end)
        ) as m,
        trim_scale(sum(c)) as c
    from actions
    group by code, ex_date
)

select * from final
