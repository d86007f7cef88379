with coverage as (
    select * from {{ ref('tick_coverage') }}
),

stored as (
    select * from {{ ref('symbol_day_index') }} where status in ('complete', 'short')
),

-- a series without requests for ticks lacks none
asked as (
    select symbol from stored
    union
    select symbol from {{ ref('no_data_days') }}
),

clock as (
    select {{ as_of() }} at time zone 'Asia/Shanghai' as local_time
),

-- the newest day by the dataset's freshness: due on the next trading day
due as (
    select max(d.trading_day) as trading_day
    from {{ ref('int_futures_days__neighbours') }} as d
    cross join clock as c
    where d.next_trading_day + time '16:00' <= c.local_time
),

missing as (
    select
        'ticks_missing' as check_name,
        'warning' as severity,
        c.symbol as subject,
        min(c.trading_day) as trade_date,
        format(
            '%s without ticks for the main contract (latest %s)%s%s',
            {{ say_count('trading day') }}, max(c.trading_day),
            case
                when bool_or(c.coverage = 'other_contract')
                    then format(
                        ', %s of them with another contract''s ticks',
                        count(*) filter (where c.coverage = 'other_contract')
                    )
                else ''
            end,
            case
                when h.value = 'false'
                    then
                        ': the account may not download their history (tq_dl); fix: buy the '
                        || 'professional edition of TqSdk'
                else '; fix: loaders run tq'
            end
        ) as evidence
    from coverage as c
    inner join asked as a on c.symbol = a.symbol
    cross join due as d
    -- from the last load that had days to ask for
    left join {{ ref('stg_ops__setting') }} as h on h.key = 'tq_history'
    where c.coverage in ('missing', 'other_contract') and c.trading_day <= d.trading_day
    group by c.symbol, h.value
),

without_ticks as (
    select
        'days_without_ticks' as check_name,
        'warning' as severity,
        symbol as subject,
        min(trading_day) as trade_date,
        format(
            '%s without ticks for %s (latest %s): %s; later loads ask for them again',
            {{ say_count('trading day') }}, underlying_contract, max(trading_day), reason
        ) as evidence
    from coverage
    where coverage = 'no_data'
    group by symbol, segment_id, underlying_contract, reason
),

-- as the loader judges a day; the newest one may get its last ticks in the next evening
short as (
    select
        'ticks_short' as check_name,
        'warning' as severity,
        i.symbol as subject,
        min(i.trading_day) as trade_date,
        format(
            '%s (latest %s): ticks for %s have %s lots, the day bars %s%s%s; this is the best '
            'available; fix: quotemill findings --ack ticks_short',
            {{ say_count('trading day') }}, max(i.trading_day), i.underlying_contract,
            sum(i.volume_lots),
            coalesce(sum(b.volume_lots)::text, 'nothing'),
            case
                when
                    bool_or(i.volume_lots between 0.99 * b.volume_lots and 1.01 * b.volume_lots)
                    then ', but there is a gap'
                else ''
            end,
            {{ counted_sides(
                'sum(i.volume_lots)', 'sum(b.volume_lots)', 'max(i.trading_day)',
                'i.underlying_contract'
            ) | indent(12) }}
        ) as evidence
    from stored as i
    inner join due as d on i.trading_day <= d.trading_day
    left join {{ ref('stg_tq__contract_daily') }} as b
        on i.underlying_contract = b.contract and i.trading_day = b.trading_day and b.is_final
    where
        i.status = 'short'
        or i.volume_lots not between 0.99 * b.volume_lots and 1.01 * b.volume_lots
    group by i.symbol, i.underlying_contract
),

disagreeing as (
    select
        'index_disagrees' as check_name,
        'warning' as severity,
        i.symbol as subject,
        min(i.trading_day) as trade_date,
        format(
            '%s (latest %s) stored for %s, which is not the scheduled contract; fix: loaders run '
            'tq', {{ say_count('trading day') }}, max(i.trading_day), i.underlying_contract
        ) as evidence
    from stored as i
    left join coverage as c
        on
            i.symbol = c.symbol
            and i.underlying_contract = c.underlying_contract
            and i.trading_day = c.trading_day
            and c.coverage in ('complete', 'short')
    where c.symbol is null
    group by i.symbol, i.underlying_contract
)

select * from missing
union all
select * from without_ticks
union all
select * from short
union all
select * from disagreeing
