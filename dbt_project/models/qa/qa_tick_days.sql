select
    'tick_day' as check_name,
    case verdict when 'price_outside_day' then 'error' else 'warning' end as severity,
    code as subject,
    trade_date,
    case verdict
        when 'no_day_bar'
            then format('%s on a day without a bar', {{ say_count('trade tick', 'tick_count') }})
        when 'price_outside_day'
            then format('trade ticks between %s and %s, outside the day bar', low, high)
        else format(
            '%s shares in %s trade ticks, %s in the day bar%s', volume_shares, tick_count,
            day_volume_shares, {{ unit_note(
                "'its ticks count in another unit'", 'volume_shares', 'day_volume_shares',
                'day_volume_shares'
            ) | indent(12) }}
        )
    end
    || format(
        '; fix: loaders run tdx --dataset %s --codes %s --date %s',
        case verdict when 'no_day_bar' then 'kline_daily' else 'tick_trade' end, code, trade_date
    ) as evidence
from {{ ref('int_ticks__findings') }}
