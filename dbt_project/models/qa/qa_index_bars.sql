-- The service cuts weeks over New Year to pieces.
with service_bars as (
    select
        i.*,
        date_trunc(i.period, i.trade_date::timestamp)::date as first_date
    from {{ ref('symbol_dim') }} as s
    inner join {{ ref('stg_tdx__index_kline') }} as i on s.code = i.code
    where
        s.instrument_type = 'index'
        and i.is_final
        and (i.period = 'month' or (i.period = 'week' and extract(week from i.trade_date) > 1))
),

our_bars as (
    {% for period in ['week', 'month'] -%}
        select
            '{{ period }}' as period,
            code,
            {{ period }}_start as first_date,
            trade_date,
            open,
            high,
            low,
            close
        from {{ ref('index_kline_' ~ period ~ 'ly') }}
        where is_final
        {{ 'union all' if not loop.last }}
    {% endfor %}
)

select
    check_name,
    case check_name when 'duplicate_bar' then 'error' else 'warning' end as severity,
    code as subject,
    trade_date,
    evidence
from {{ ref('int_index_bars__findings') }}
union all
select
    'period_differs' as check_name,
    'warning' as severity,
    t.code as subject,
    t.trade_date,
    format(
        '%s: open %s, high %s, low %s, close %s, but its days give %s, %s, %s, %s; fix: loaders '
        'run tdx --mode init --dataset index_kline',
        t.period, t.open, t.high, t.low, t.close, o.open, o.high, o.low, o.close
    ) as evidence
from service_bars as t
inner join our_bars as o
    on
        t.code = o.code
        and t.period = o.period
        and t.first_date = o.first_date
        and t.trade_date = o.trade_date
where
    (t.open, t.high, t.low, t.close) <> (o.open, o.high, o.low, o.close)
    -- days may begin in mid-period
    and exists (
        select 1 from {{ ref('stg_tdx__index_kline') }} as d
        where d.code = t.code and d.period = 'day' and d.trade_date < t.first_date
    )
