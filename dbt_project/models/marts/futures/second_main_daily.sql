{{ config(materialized='followed', unique_key=['variety', 'trading_day']) }}

{{ continuous_daily(ref('second_main_schedule'), ref('int_second_main_segments__adjusted')) }}
