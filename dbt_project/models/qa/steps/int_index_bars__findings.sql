{{ config(
    materialized='followed',
    unique_key=['code', 'trade_date', 'check_name'],
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
        *,
        unnest(array[
            case when bar_count > 1 then 'duplicate_bar' end,
            case when volume_shares < 0 then 'negative_volume' end,
            case
                when high < greatest(open, low, close) or low > least(open, high, close)
                    then 'ohlc_order'
            end
        ]) as check_name
    from bars
)

select
    code,
    trade_date,
    check_name,
    case check_name
        when 'duplicate_bar' then count(*) || ' bars for one day'
        when 'negative_volume' then 'impossible volume: ' || min(volume_shares)
        else
            'impossible prices: '
            || min(format('open %s, high %s, low %s, close %s', open, high, low, close))
    end
    || case check_name
        when 'duplicate_bar'
            then
                '; fix: delete the wrong ones from raw_tdx.index_kline, then quotemill touch '
                || 'index_kline --codes ' || code
        else '; fix: loaders run tdx --mode init --dataset index_kline'
    end as evidence
from failed
where check_name is not null
group by code, trade_date, check_name
