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

with figures as (
    select * from {{ changed(ref('int_daily_figures__computed')) }}
),

-- the exchange computed before: the planner would expect a group for each code and day, and sort
bars as (
    select
        left(code, 2) as exchange,
        trade_date,
        close_li as close,
        previous_close_li as previous_close,
        close_li = up_limit_li as is_limit_up,
        close_li = down_limit_li as is_limit_down
    from figures as f
    where
        limit_rule is not null
        and not {{ has_day_of_new_code('f', ref('int_daily_figures__computed')) | indent(8) }}
    {{ computed_once() }}
)

select
    exchange,
    trade_date,
    {{ breadth_counts() }}
from bars
group by exchange, trade_date
