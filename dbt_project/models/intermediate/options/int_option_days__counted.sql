{{ config(
    materialized='followed',
    unique_key=['symbol', 'trade_date'],
    meta={
        'entity': 'symbol',
        'by': 'trade_date',
        'follows': tables_of_quotes({
            'raw_ib.session_contract': 'day',
            'raw_ib.slot_run': 'day',
            'chain_daily_clean': 'day',
        }),
        'keeps': 'stored.row_count > 0 and ' ~ slots_are_deleted(),
    },
) }}

with planned as (
    select * from {{ changed(ref('int_option_contracts__planned')) }}
),

contract_counts as (
    select
        symbol,
        trade_date,
        count(*) as contract_count,
        count(*) filter (where first_seen_date < trade_date) as carried_count,
        count(*) filter (where expiry > trade_date) as lasting_count,
        count(terms) - count(distinct terms) as duplicate_count,
        bool_or(policy = 'discovery_stale') as is_discovery_stale
    from planned
    group by symbol, trade_date
),

captured as (
    {{ captured_quotes() | indent }}
),

judged as (
    select
        q.*,
        q.rollup_source_view = 'intraday' as is_slot,
        not q.snapshot_error and {{ price_of_day('q') }} is not null as has_data,
        -- delayed data of the first minutes is still of the session before
        max(q.volume_contracts) filter (where (q.market_data_type in (3, 4)) is not true) over (
            partition by q.symbol, q.trade_date, q.conid order by q.captured_at
            rows between unbounded preceding and 1 preceding
        ) as volume_before,
        q.iv <= 0 or q.iv > 10 or abs(q.delta) > 1 or q.gamma < -1e-9 or q.vega < -1e-9
        or case c.option_right when 'C' then q.delta < 0 when 'P' then q.delta > 0 end
            as is_out_of_range
    from captured as q
    left join {{ ref('stg_ib__contract') }} as c on q.conid = c.conid
),

row_counts as (
    select
        symbol,
        trade_date,
        count(*) filter (where is_slot) as row_count,
        count(*) filter (where is_slot and is_good) as good_count,
        count(*) filter (where is_slot and snapshot_error) as error_count,
        count(*) filter (where is_slot and has_data) as data_count,
        count(*) filter (where is_slot and has_data and market_data_type in (3, 4))
            as delayed_count,
        count(*) filter (where is_slot and mid is not null) as two_sided_count,
        count(*) filter (where is_slot and mid is not null and iv is not null and delta is not null)
            as greeks_count,
        count(*) filter (where is_out_of_range) as out_of_range_count,
        count(*) filter (where bid > ask) as crossed_count,
        count(*) filter (where bid = ask) as locked_count,
        count(*) filter (where is_slot and 'late_capture' = any(data_quality_flag)) as late_count,
        count(distinct conid) filter (where volume_contracts < volume_before) as volume_reset_count,
        count(distinct conid) filter (
            where {{ in_another_unit('volume_contracts', 'volume_before', 'volume_before') }}
        ) as volume_unit_count,
        count(*) filter (where 'slot_retry_exceeded' = any(data_quality_flag)) as given_up_count,
        count(*) filter (
            where not data_quality_flag
            <@ array['{{ known_flags() | join("',
'") }}']
        ) as unknown_flag_count,
        count(*) filter (where 'calendar_fallback' = any(data_quality_flag)) as guessed_count,
        count(distinct source) as source_count,
        bool_or('discovery_stale' = any(data_quality_flag)) as is_discovery_stale,
        percentile_disc(0.95) within group (order by capture_lag_s)
        filter (where is_slot and has_data) as capture_lag_p95_s,
        (array_agg(underlying_price order by sample_time, conid) filter (
            where is_slot and is_on_time and underlying_price is not null
        ))[1] as underlying_open
    from judged
    group by symbol, trade_date
),

daily_counts as (
    select * from {{ changed(ref('int_option_days__rolled_up')) }}
),

run_counts as (
    select
        symbol,
        trade_date,
        sum(pacing_event_count) as pacing_event_count
    from {{ changed(ref('stg_ib__slot_run')) }}
    group by symbol, trade_date
),

days as (
    select
        symbol,
        trade_date
    from contract_counts
    union
    select
        symbol,
        trade_date
    from row_counts
    union
    select
        symbol,
        trade_date
    from daily_counts
    union
    -- a symbol without contracts has only its runs
    select
        symbol,
        trade_date
    from run_counts
),

planned_by_slot as (
    select
        symbol,
        trade_date,
        first_slot,
        count(*) as contract_count
    from planned
    group by symbol, trade_date, first_slot
),

rows_by_slot as (
    select
        symbol,
        trade_date,
        slot_30m,
        count(*) as row_count,
        count(*) filter (where is_good and is_on_time) as good_count
    from judged
    where is_slot
    group by symbol, trade_date, slot_30m
),

-- A slot is covered by nine tenths of the contracts planned for it, in time; where no set was
-- frozen, of those asked for.
slots as (
    select
        d.symbol,
        d.trade_date,
        n.slot_30m,
        n.slot_label,
        coalesce(max(g.good_count), 0) > 0
        and max(g.good_count) >= 0.9 * coalesce(sum(p.contract_count), max(g.row_count))
            as is_covered
    from days as d
    inner join {{ ref('int_option_slots__wanted') }} as n on d.trade_date = n.trade_date
    left join planned_by_slot as p
        on d.symbol = p.symbol and d.trade_date = p.trade_date and n.slot_30m >= p.first_slot
    left join rows_by_slot as g
        on d.symbol = g.symbol and d.trade_date = g.trade_date and n.slot_30m = g.slot_30m
    group by d.symbol, d.trade_date, n.slot_30m, n.slot_label
),

slot_counts as (
    select
        symbol,
        trade_date,
        count(*) as slot_count,
        count(*) filter (where is_covered) as covered_slot_count,
        array_agg(slot_label order by slot_30m) filter (where not is_covered) as uncovered_slots
    from slots
    group by symbol, trade_date
)

select
    d.symbol,
    d.trade_date,
    {% for name in option_day_counts() -%}
        coalesce({{ name }}, 0)::integer as {{ name }},
    {% endfor -%}
    -- a frozen set decides: the first slots may be of an older one
    coalesce(c.is_discovery_stale, r.is_discovery_stale, false) as is_discovery_stale,
    coalesce(s.uncovered_slots, '{}') as uncovered_slots,
    r.capture_lag_p95_s::numeric(12, 3) as capture_lag_p95_s,
    r.underlying_open::numeric(18, 6) as underlying_open,
    y.underlying_close::numeric(18, 6) as underlying_close
from days as d
left join contract_counts as c on d.symbol = c.symbol and d.trade_date = c.trade_date
left join slot_counts as s on d.symbol = s.symbol and d.trade_date = s.trade_date
left join row_counts as r on d.symbol = r.symbol and d.trade_date = r.trade_date
left join daily_counts as y on d.symbol = y.symbol and d.trade_date = y.trade_date
left join run_counts as p on d.symbol = p.symbol and d.trade_date = p.trade_date
