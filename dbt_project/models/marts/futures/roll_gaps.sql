with segments as (
    select
        *,
        -- those of a segment are of the rolls after it: this roll's too, for the one before
        lag(back_diff) over before as back_adjust_step,
        lag(back_numerator) over before as adjust_numerator,
        lag(back_denominator) over before as adjust_denominator
    from {{ ref('int_main_segments__adjusted') }}
    window before as (partition by variety order by segment_id)
)

select
    variety,
    symbol,
    first_trading_day as trading_day,
    segment_id,
    prev_contract,
    underlying_contract,
    price_day,
    old_close,
    new_close,
    roll_step as price_step,
    {{ shown_ratio('new_part', 'old_part') }} as price_ratio,
    back_adjust_step::numeric(24, 9) as back_adjust_step,
    {{ shown_ratio('adjust_numerator', 'adjust_denominator') }} as back_adjust_ratio
from segments
where is_roll
