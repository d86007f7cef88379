with days as (
    select * from {{ ref('qa_option_day') }}
),

-- one row per symbol, day and check that failed
judged as (
    select
        f.check_name,
        f.severity,
        d.symbol as subject,
        d.trade_date,
        f.evidence
    from days as d
    cross join
        lateral (
            values
            (
                'slot_coverage', 'warning', d.coverage_verdict = 'fail',
                format(
                    '%s of %s slots hold nine tenths of their contracts: not %s',
                    d.covered_slot_count,
                    d.slot_count,
                    coalesce(nullif(array_to_string(d.uncovered_slots, ', '), ''), 'one')
                )
            ),
            (
                'delayed_share', 'warning', d.delayed_verdict = 'fail' and d.data_count > 0,
                format('%s of %s rows with data are delayed', d.delayed_count, d.data_count)
            ),
            (
                'rollup_fallback', 'warning', d.fallback_verdict = 'fail' and d.daily_count > 0,
                format(
                    '%s of %s contracts lack a quote of the close: %s have the one before',
                    d.daily_count - d.close_count,
                    d.daily_count,
                    d.slot_before_count
                )
            ),
            (
                'oi_completeness', 'warning', d.oi_verdict = 'fail' and d.daily_count > 0,
                format('%s of %s contracts have an open interest', d.oi_count, d.oi_eligible_count)
            ),
            (
                'unresolved_contracts', 'warning',
                d.coverage_verdict <> 'pending' and d.unresolved_count > 0.1 * d.contract_count,
                format(
                    '%s of %s contracts have no row of the day',
                    d.unresolved_count,
                    d.contract_count
                )
            ),
            (
                'slot_retry_exceeded', 'warning', d.given_up_count > 0,
                format('%s quotes were given up after all retries', d.given_up_count)
            ),
            (
                'discovery_stale', 'warning', d.is_discovery_stale,
                format('the %s contracts are those of an older session', d.contract_count)
            ),
            (
                'greeks_out_of_range', 'error', d.out_of_range_count > 0,
                format('%s rows with an impossible volatility or greek', d.out_of_range_count)
            ),
            (
                'duplicate_contracts', 'error', d.duplicate_count > 0,
                format('%s contracts are twice in the session, by two ids', d.duplicate_count)
            ),
            (
                'unknown_flag', 'error', d.unknown_flag_count > 0,
                format('%s rows with a flag that is not on the list', d.unknown_flag_count)
            ),
            (
                'calendar_fallback', 'error', d.guessed_count > 0,
                'the sessions are guessed: pandas-market-calendars is not installed'
            ),
            (
                'mixed_sources', 'error', d.source_count > 1,
                'rows of the gateway and of a sandbox in one day'
            ),
            (
                'crossed_quotes', 'warning', d.crossed_count > 0.01 * d.data_count,
                format(
                    '%s of %s rows have a bid above the ask, %s one as high', d.crossed_count,
                    d.data_count, d.locked_count
                )
            ),
            (
                'locked_quotes', 'warning', d.locked_count > 0.05 * d.data_count,
                format(
                    '%s of %s rows have a bid as high as the ask', d.locked_count, d.data_count
                )
            ),
            (
                'missing_greeks', 'warning',
                d.coverage_verdict <> 'pending' and d.greeks_count < 0.9 * d.two_sided_count,
                format(
                    '%s of %s rows with two prices lack volatility or delta',
                    d.two_sided_count - d.greeks_count, d.two_sided_count
                )
            ),
            (
                'iv_mismatch', 'warning', d.iv_mismatch_count > 0.05 * d.iv_compared_count,
                format(
                    'the volatility of %s of %s contracts is not that of their price',
                    d.iv_mismatch_count, d.iv_compared_count
                )
            ),
            (
                'put_call_parity', 'warning', d.parity_count > 0.02 * d.parity_compared_count,
                format(
                    '%s of %s contracts near the money are outside the band of put-call parity',
                    d.parity_count, d.parity_compared_count
                )
            ),
            (
                'arbitrage', 'warning', d.arbitrage_count > 0.02 * d.daily_count,
                format(
                    '%s of %s contracts can be traded against each other without risk',
                    d.arbitrage_count, d.daily_count
                )
            )
        ) as f (check_name, severity, is_found, evidence)
    where f.is_found
),

with_day_before as (
    select
        c.symbol,
        c.trade_date,
        c.contract_count,
        c.carried_count,
        c.underlying_open,
        c.previous_date,
        c.previous_count,
        c.previous_close,
        (
            select count(*) > 0 from {{ ref('us_corporate_actions') }} as a
            where a.symbol = c.symbol and a.ex_date > c.previous_date and a.ex_date <= c.trade_date
        ) as has_action
    from (
        select
            *,
            lag(trade_date) over symbol_days as previous_date,
            lag(lasting_count) over symbol_days as previous_count,
            lag(underlying_close) over symbol_days as previous_close
        from {{ ref('int_option_days__counted') }}
        window symbol_days as (partition by symbol order by trade_date)
    ) as c
),

moves as (
    select
        'overnight_move' as check_name,
        'warning' as severity,
        d.symbol as subject,
        d.trade_date,
        format(
            'from %s to %s overnight, and no action since %s in us_corporate_actions.csv',
            trim_scale(d.previous_close), trim_scale(d.underlying_open), d.previous_date
        ) as evidence
    from with_day_before as d
    where
        abs(d.underlying_open / nullif(d.previous_close, 0) - 1) > 0.25
        and not d.has_action
),

-- not for a known action, nor after days on which more may have expired
vanished as (
    select
        'contracts_vanished' as check_name,
        'warning' as severity,
        d.symbol as subject,
        d.trade_date,
        format(
            '%s of the %s contracts of %s that had not expired are left', d.carried_count,
            d.previous_count, d.previous_date
        ) as evidence
    from with_day_before as d
    inner join {{ ref('sessions') }} as s
        on d.trade_date = s.trade_date and d.previous_date = s.previous_trade_date
    where
        d.contract_count > 0
        and d.carried_count < 0.5 * d.previous_count
        and not d.has_action
),

-- a morning is in vain where too few contracts answered; some never do
mornings as (
    select
        symbol,
        (attempted_at at time zone 'America/New_York')::date as morning,
        max(trade_date) as trade_date,
        bool_or(
            status = 'stale' and pass in ('confirm', 'late')
            or status = 'failed'
            and filled_count + same_count + changed_count
            < {{ setting('ib_min_oi_share', 0.95) | indent(12) }} * eligible_count
        )
        and not bool_or(status = 'complete') as is_in_vain
    from {{ ref('stg_ib__enrichment') }}
    group by symbol, morning
),

-- each morning asks for the previous session, so they are in a row; a later answer ends the row
oi_failures as (
    select
        'oi_enrichment_failed' as check_name,
        'error' as severity,
        m.symbol as subject,
        m.trade_date,
        format('open interest was asked for in vain on %s and the two mornings before', m.morning)
            as evidence
    from (
        select
            *,
            bool_and(is_in_vain) over three and count(*) over three = 3 as is_third
        from mornings
        window three as (
            partition by symbol order by morning rows between 2 preceding and current row
        )
    ) as m
    left join days as d on m.symbol = d.symbol and m.trade_date = d.trade_date
    where m.is_third and (d.oi_verdict = 'pass') is not true
),

-- a state of the stage collected now, not of a day: one finding while it lasts
watches as (
    select
        w.check_name,
        'error' as severity,
        'stage ' || g.stage as subject,
        null::date as trade_date,
        format('%s: lower the rates, or close the stage', g.warning) as evidence
    from {{ ref('qa_option_gates') }} as g
    cross join
        lateral (
            values
            ('stage_coverage', g.is_coverage_low),
            ('stage_pacing', g.is_pacing_high)
        ) as w (check_name, is_found)
    where w.is_found
),

unknown_codes as (
    select
        'unknown_error_code' as check_name,
        'warning' as severity,
        'error ' || e.error_code as subject,
        null::date as trade_date,
        format(
            'came %s times, last on %s: %s; not in ib_error_codes.csv',
            count(*), max(e.trade_date),
            (array_agg(e.error_message order by e.occurred_at desc))[1]
        ) as evidence
    from {{ ref('stg_ib__gateway_event') }} as e
    left join {{ ref('ib_error_codes') }} as k on e.error_code = k.error_code
    where k.error_code is null
    group by e.error_code
),

-- Retention deletes the slots of a day that is built, and its daily rows stay; a table that was
-- dropped and built again has only the close view.
lost_days as (
    select
        'archived_day_lost' as check_name,
        'error' as severity,
        p.underlying as subject,
        p.partition_date as trade_date,
        format(
            'its %s slot rows are in the archive alone, and nothing is built of them: '
            'quotemill restore --date %s', p.row_count, p.partition_date
        ) as evidence
    from {{ source('ops', 'archive_partitions') }} as p
    where
        p.schema_name = '{{ generate_schema_name('options') }}'
        and p.view_name = 'chain_intraday'
        and p.dropped_at is not null
        and not exists (
            select 1 from {{ ref('chain_daily_clean') }} as c
            where
                c.symbol = p.underlying
                and c.trade_date = p.partition_date
                and c.slots_seen > 0
        )
        -- nothing is built for a day of errors only
        and not exists (
            select 1 from {{ ref('int_option_days__counted') }} as c
            where
                c.symbol = p.underlying
                and c.trade_date = p.partition_date
                and c.row_count > 0
                and c.good_count = 0
        )
),

refused as (
    select
        'rejected_row' as check_name,
        'warning' as severity,
        dataset || ' ' || row_key as subject,
        null::date as trade_date,
        format('%s = %s breaks the rule: %s', field, coalesce(value, 'null'), rule) as evidence
    from {{ ref('stg_ib__rejected_row') }}
    where not is_withdrawn
)

select * from judged
union all
select * from moves
union all
select * from vanished
union all
select * from oi_failures
union all
select * from watches
union all
select * from unknown_codes
union all
select * from lost_days
union all
select * from refused
