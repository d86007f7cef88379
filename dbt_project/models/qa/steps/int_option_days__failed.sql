select
    f.check_name,
    f.severity,
    d.symbol as subject,
    d.trade_date,
    f.evidence
from {{ ref('qa_option_day') }} as d
cross join
    lateral (
        values
        (
            'slot_coverage', 'warning', d.coverage_verdict = 'fail',
            format(
                'only %s of %s slots have nine tenths of their contracts (short: %s); fix: look up '
                'the failures in qa.qa_option_errors',
                d.covered_slot_count,
                d.slot_count,
                coalesce(nullif(array_to_string(d.uncovered_slots, ', '), ''), 'all')
            )
        ),
        (
            'delayed_share', 'warning', d.delayed_verdict = 'fail' and d.data_count > 0,
            format(
                '%s of %s rows with data are delayed; fix: renew the subscription or close the '
                'other session, then loaders check ib', d.delayed_count, d.data_count
            )
        ),
        (
            'rollup_fallback', 'warning', d.fallback_verdict = 'fail' and d.daily_count > 0,
            format(
                '%s of %s contracts have no quote from the close: %s use the slot before it; '
                'cannot be recovered',
                d.daily_count - d.close_count,
                d.daily_count,
                d.slot_before_count
            )
        ),
        (
            'oi_completeness', 'warning', d.oi_verdict = 'fail' and d.daily_count > 0,
            format(
                '%s of %s contracts have open interest; fix: loaders run ib --task enrich, before '
                'the next publication', d.oi_count, d.oi_eligible_count
            )
        ),
        (
            'capture_lag', 'warning', d.lag_verdict = 'fail' and d.data_count > 0,
            format(
                '95 %% of quotes arrived up to %s s after their slot, more than '
                'ib.max_capture_lag_seconds; fix: load fewer symbols or raise the limit',
                d.capture_lag_p95_s
            )
        ),
        (
            'unresolved_contracts', 'warning',
            d.coverage_verdict <> 'pending' and d.unresolved_count > 0.1 * d.contract_count,
            format(
                '%s of %s contracts have no row for the day; fix: look up the failures in '
                'qa.qa_option_errors',
                d.unresolved_count,
                d.contract_count
            )
        ),
        (
            'unplanned_contracts', 'warning',
            d.contract_count > 0 and d.daily_count > 1.1 * d.contract_count,
            format(
                '%s contracts have a row for the day, but the session lists only %s; fix: compare '
                'raw_ib.session_contract with options.chain_daily_clean',
                d.daily_count,
                d.contract_count
            )
        ),
        (
            'slot_retry_exceeded', 'warning', d.given_up_count > 0,
            format(
                '%s given up after all retries; fix: lower ib.rate_limits.snapshot.per_minute',
                {{ say_count('quote', 'd.given_up_count') }}
            )
        ),
        (
            'discovery_stale', 'warning', d.is_discovery_stale,
            format(
                'the %s contracts are from an older session; fix: loaders run ib --task discover',
                d.contract_count
            )
        ),
        (
            'greeks_out_of_range', 'error', d.out_of_range_count > 0,
            format(
                '%s with impossible volatility or greeks; fix: set these to null in '
                'raw_ib.chain_snapshot or chain_close, then quotemill touch that table',
                {{ say_count('row', 'd.out_of_range_count') }}
            )
        ),
        (
            'duplicate_contracts', 'error', d.duplicate_count > 0,
            format(
                '%s listed twice in the session, under two ids; fix: delete the wrong id from '
                'raw_ib.session_contract, then quotemill touch session_contract',
                {{ say_count('contract', 'd.duplicate_count') }}
            )
        ),
        (
            'unknown_flag', 'error', d.unknown_flag_count > 0,
            format(
                '%s with an unknown flag; fix: upgrade the dbt project, then quotemill build',
                {{ say_count('row', 'd.unknown_flag_count') }}
            )
        ),
        (
            'calendar_fallback', 'error', d.guessed_count > 0,
            'the sessions are guessed; fix: install pandas-market-calendars'
        ),
        (
            'mixed_sources', 'error', d.source_count > 1,
            'rows from the gateway and from a sandbox on one day; fix: delete those whose source '
            'is SANDBOX from raw_ib.chain_snapshot and chain_close, then quotemill touch both'
        ),
        (
            'volume_reset', 'warning',
            greatest(d.volume_reset_count, d.volume_unit_count) > 0.02 * d.daily_count,
            format(
                'among %s contracts, volume fell for %s and changed its unit for %s; cannot be '
                'recovered',
                d.daily_count, d.volume_reset_count, d.volume_unit_count
            )
        ),
        (
            'crossed_quotes', 'warning', d.crossed_count > 0.01 * d.data_count,
            format(
                '%s of %s rows have a bid above the ask, %s have equal ones; cannot be recovered',
                d.crossed_count, d.data_count, d.locked_count
            )
        ),
        (
            'locked_quotes', 'warning', d.locked_count > 0.05 * d.data_count,
            format(
                '%s of %s rows have a bid equal to the ask; cannot be recovered',
                d.locked_count, d.data_count
            )
        ),
        (
            'missing_greeks', 'warning',
            d.coverage_verdict <> 'pending' and d.greeks_count < 0.9 * d.two_sided_count,
            format(
                '%s of %s rows with bid and ask lack volatility or delta; fix: subscribe to '
                'quotes of the underlying, then loaders check ib',
                d.two_sided_count - d.greeks_count, d.two_sided_count
            )
        ),
        (
            'iv_mismatch', 'warning', d.iv_mismatch_count > 0.05 * d.iv_compared_count,
            format(
                '%s of %s contracts have a volatility that does not fit their price; fix: check '
                'ib.risk_free_rate, then quotemill build',
                d.iv_mismatch_count, d.iv_compared_count
            )
        ),
        (
            'put_call_parity', 'warning', d.parity_count > 0.02 * d.parity_compared_count,
            format(
                '%s of %s contracts near the money are outside the put-call parity band; fix: '
                'check ib.risk_free_rate, then quotemill build',
                d.parity_count, d.parity_compared_count
            )
        ),
        (
            'arbitrage', 'warning', d.arbitrage_count > 0.02 * d.daily_count,
            format(
                '%s of %s contracts allow a riskless profit; cannot be recovered',
                d.arbitrage_count, d.daily_count
            )
        )
    ) as f (check_name, severity, is_found, evidence)
where f.is_found and d.is_in_universe is not false
