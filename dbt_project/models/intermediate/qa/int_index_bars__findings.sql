{{ config(
    materialized='incremental',
    unique_key=['code', 'trade_date', 'check_name'],
    indexes=[{'columns': ['code', 'trade_date', 'check_name'], 'unique': true}],
    meta={'follows': {'raw_tdx.index_kline': 'day'}, 'by': 'trade_date'},
) }}

with bars as (
    select
        *,
        count(*) over (partition by code, trade_date) as bar_count
    from {{ changed(ref('stg_tdx__index_kline'), by='bar_end') }}
    where period = 'day'
),

failed as (
    select
        b.*,
        c.check_name
    from bars as b
    cross join lateral (
        values
        ('duplicate_bar', b.bar_count > 1),
        ('negative_volume', b.volume_shares < 0),
        ('ohlc_order', b.high < greatest(b.open, b.low, b.close)),
        ('ohlc_order', b.low > least(b.open, b.high, b.close))
    ) as c (check_name, is_failed)
    where c.is_failed
)

select
    code,
    trade_date,
    check_name,
    case check_name
        when 'duplicate_bar' then count(*) || ' bars of one day'
        when 'negative_volume' then format('volume %s', min(volume_shares))
        else min(format('open %s high %s low %s close %s', open, high, low, close))
    end as evidence
from failed
group by code, trade_date, check_name
