{{ config(
    materialized='followed',
    unique_key=['code', 'trade_date', 'check_name'],
    meta={
        'follows': {
            'raw_tdx.kline_daily': 'from_day',
            'trading_calendar': 'from_day',
            'adjustment_segments': 'code',
            'int_daily_figures__computed': 'day',
        },
        'by': 'trade_date',
    },
) }}

{%- set turnover = ('amount_cny', 'low * volume_shares', 'high * volume_shares') %}

with suspects as materialized (
    select
        code,
        trade_date
    from {{ changed(ref('int_daily_figures__computed')) }}
    where may_fail
),

-- offset 0 keeps the planner to one index scan each
suspect_bars as materialized (
    select k.*
    from suspects as s
    inner join lateral (
        select b.* from {{ ref('kline_daily') }} as b
        where b.code = s.code and b.trade_date = s.trade_date
        order by b.code
        offset 0
    ) as k on true
),

-- A bar on a day without trading neither closes a gap nor sets a price. A day that was only
-- published is not missing: possibly nothing traded. The calendar is read bar by bar: a join would
-- read it in full for each code.
with_last_bar as (
    select
        b.*,
        p.trade_date as last_bar_date,
        p.close as last_close,
        (
            select count(*) from {{ ref('trading_calendar') }} as c
            where c.is_served and c.trade_date > p.trade_date and c.trade_date < b.trade_date
        ) as missing_count
    from suspect_bars as b
    inner join lateral (
        select
            k.trade_date,
            k.close
        from {{ ref('kline_daily') }} as k
        where
            k.code = b.code
            and k.trade_date < b.trade_date
            and {{ is_trading_day('k') | indent(12) }}
        order by k.trade_date desc
        limit 1
    ) as p on true
    where {{ is_trading_day('b') | indent }}
),

-- The first bar after a suspension may move freely. A fund is suspended a few days for a split:
-- without these bars no ratio would ever be checked.
next_day_bars as (
    select
        b.*,
        case when b.trade_date < date '1996-12-16' then 0.20 else l.allowed end as allowed
    from with_last_bar as b
    left join {{ ref('int_bars__jump_limits') }} as l
        on
            l.board = {{ board('b.code') | indent(12) }}
            and b.trade_date >= l.valid_from and b.trade_date < l.valid_to
    where
        b.missing_count = 0
        or (
            b.missing_count <= 5
            and exists (
                select 1 from {{ ref('adjustment_segments') }} as s
                where s.code = b.code and s.valid_from = b.trade_date and s.price_decimals = 3
            )
        )
),

-- most opens fit the last close unchanged: only the others and those on an ex-date need factors
with_expected_open as (
    select
        b.*,
        (
            coalesce(l.backward_a, 1) * b.last_close + coalesce(l.backward_b, 0)
            - coalesce(t.backward_b, 0)
        ) / coalesce(t.backward_a, 1) as expected_open
    from next_day_bars as b
    left join lateral (
        {{ segment_on('b.code', 'b.trade_date') | indent }}
    ) as t on true
    left join lateral (
        {{ segment_on('b.code', 'b.last_bar_date') | indent }}
    ) as l on true
    where
        abs(b.open - b.last_close) > b.allowed * b.last_close
        or exists (  -- the planner looks few bars up, and hashes many
            select 1 from {{ ref('adjustment_segments') }} as s
            where s.code = b.code and s.valid_from = b.trade_date
        )
),

-- the open suffices, as the limits hold for the close too; after missing days the close may jump
jumps as materialized (
    select
        b.*,
        p.name,
        p.price
    from with_expected_open as b
    inner join lateral (
        select k.* from (values (1, 'open', b.open), (2, 'close', b.close)) as k (nth, name, price)
        where
            abs(k.price / b.expected_open - 1) > b.allowed
            and (k.name = 'open' or b.missing_count > 0)
        order by k.nth
        limit 1
    ) as p on true
    where b.expected_open > 0
)

select
    code,
    trade_date,
    'ohlc_order' as check_name,
    trade_date as finding_date,
    format(
        'impossible prices: open %s, high %s, low %s, close %s; fix: loaders run tdx --dataset '
        'kline_daily --codes %s --mode init', open, high, low, close, code
    ) as evidence
from suspect_bars
where high < greatest(open, low, close) or low > least(open, high, close) or low <= 0
union all
select
    code,
    trade_date,
    'volume_mismatch' as check_name,
    trade_date as finding_date,
    format(
        '%s yuan for %s shares between %s and %s%s%s; '
        'fix: loaders run tdx --dataset kline_daily --codes %s --mode init',
        amount_cny, volume_shares, low, high,
        {{ unit_note("'its volume counts in another unit'", *turnover) | indent(8) }},
        {{ unit_note(
            "'its turnover counts in another unit'", *turnover, factor=1000
        ) | indent(8) }},
        code
    ) as evidence
from suspect_bars
where volume_flag = 'unreliable'
union all
select
    b.code,
    b.trade_date,
    'missing_bars' as check_name,
    (
        select min(c.trade_date) from {{ ref('trading_calendar') }} as c
        where c.is_served and c.trade_date > b.last_bar_date
    ) as finding_date,
    format(
        '%s without a bar (latest %s), not covered by any response; fix: download day bars in '
        'the client, or loaders run tdx --mode init --dataset kline_daily',
        {{ say_count('trading day', 'b.missing_count') }},
        (
            select max(c.trade_date) from {{ ref('trading_calendar') }} as c
            where c.is_served and c.trade_date < b.trade_date
        )
    ) as evidence
from with_last_bar as b
where b.missing_count > 0
union all
-- a new listing may move freely too, for five days
select
    j.code,
    j.trade_date,
    'price_jump' as check_name,
    j.trade_date as finding_date,
    format(
        '%s %s, expected %s from the last close (%s %%): a corporate action may be missing; fix: '
        'add it to seeds/corporate_action_overrides.csv, then quotemill build', j.name, j.price,
        round(j.expected_open, 3), round(100 * (j.price / j.expected_open - 1), 1)
    ) as evidence
from jumps as j
where exists (
    select 1 from {{ ref('kline_daily') }} as k
    where k.code = j.code and k.trade_date < j.trade_date
    order by k.trade_date limit 1 offset 4
)
