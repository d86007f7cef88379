{{ config(
    materialized='followed',
    unique_key=['exchange', 'trade_date'],
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

with figures as not materialized (
    select * from {{ changed(ref('int_daily_figures__computed')) }}
    where limit_rule is not null
),

-- Where two codes have a day of one stock, the newer one counts. A union, of whose exchanges the
-- planner knows nothing: else it would expect a group for each code and day, and sort. An array, as
-- it would read all bars for a join with the few old codes.
bars as (
    select
        {{ columns | indent(8) }}
    from figures as f
    where f.code not in (select c.old_code from {{ ref('code_changes') }} as c)
    union all
    select
        {{ columns | indent(8) }}
    from figures as f
    where
        f.code = any(array(select c.old_code from {{ ref('code_changes') }} as c))
        and not {{ has_day_of_new_code('f', ref('int_daily_figures__computed')) | indent(8) }}
)

select
    exchange,
    trade_date,
    {{ breadth_counts() }}
from bars
group by exchange, trade_date
