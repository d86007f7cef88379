{# The counts of a symbol's day, in the order of int_option_days__counted. #}
{% macro option_day_counts() -%}
    {{ return([
        'contract_count', 'carried_count', 'lasting_count', 'duplicate_count',
        'slot_count', 'covered_slot_count',
        'row_count', 'good_count', 'error_count', 'data_count', 'delayed_count', 'two_sided_count',
        'greeks_count', 'out_of_range_count', 'crossed_count', 'locked_count', 'late_count',
        'volume_reset_count', 'volume_unit_count',
        'given_up_count', 'unknown_flag_count', 'guessed_count', 'source_count',
        'daily_count', 'close_count', 'slot_before_count', 'last_good_count', 'oi_eligible_count',
        'oi_count', 'iv_compared_count', 'iv_mismatch_count', 'parity_compared_count',
        'parity_count', 'arbitrage_count',
        'pacing_event_count'
    ]) }}
{%- endmacro %}
