{{ config(materialized='followed', unique_key=['variety', 'trading_day']) }}

{{ continuous_daily(ref('main_schedule'), ref('int_main_segments__adjusted')) }}
