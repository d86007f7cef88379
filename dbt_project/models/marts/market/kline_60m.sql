-- The hours of the sessions: from half past in the morning, from the full hour in the afternoon. No
-- CTE: see stg_tdx__kline_daily.
{%- set session_hour %}
    date_bin(
        '1 hour',
        bar_end - interval '1 minute',
        case
            when extract(hour from bar_end at time zone 'Asia/Shanghai') < 12
                then timestamptz '2000-01-01 00:30+00'
            else timestamptz '2000-01-01 00:00+00'
        end
    ) + interval '1 hour'
{%- endset %}

select
    code,
    {{ session_hour }} as bar_end,
    trade_date,
    {{ rolled_up_columns('sum(bar_count)', cast=true) }}
from {{ ref('kline_30m') }}
group by
    code,
    trade_date,
    {{ session_hour }}
