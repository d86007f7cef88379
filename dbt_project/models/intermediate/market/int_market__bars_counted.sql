{{ config(
    materialized='followed',
    unique_key=['exchange', 'trade_date'],
    indexes=[{'columns': ['exchange', 'trade_date'], 'unique': true}],
    meta={
        'entity': none,
        'follows': {'int_daily_figures__computed': 'day', 'code_changes': 'code'},
        'by': 'trade_date',
    },
) }}
{%- set columns -%}
    left(f.code, 2) as exchange,
    f.trade_date,
    f.close_li as close,
    f.previous_close_li as previous_close,
    f.close_li = f.up_limit_li as is_limit_up,
    f.close_li = f.down_limit_li as is_limit_down
{%- endset %}

-- The exchange computed before: the planner would expect a group for each code and day, and sort.
-- Where two codes have a day of one stock, the newer one counts.
with bars as (
    select
        {{ columns | indent(8) }}
    from (select * from {{ changed(ref('int_daily_figures__computed')) }}) as f
    where
        f.limit_rule is not null
        and f.code not in (select c.old_code from {{ ref('code_changes') }} as c)
    union all
    select
        {{ columns | indent(8) }}
    from {{ ref('code_changes') }} as c
    inner join (select * from {{ changed(ref('int_daily_figures__computed')) }}) as f
        on c.old_code = f.code
    where
        f.limit_rule is not null
        and not exists (
            select 1 from {{ ref('int_daily_figures__computed') }} as n
            where n.code = c.new_code and n.trade_date = f.trade_date
        )
    {{ computed_once() }}
)

select
    exchange,
    trade_date,
    {{ breadth_counts() }}
from bars
group by exchange, trade_date
