-- a state of the stage collected now, not of a day: one finding while it lasts
with watches as (
    select
        w.check_name,
        'error' as severity,
        'stage ' || g.stage as subject,
        null::date as trade_date,
        format('%s; fix: lower the rates, or close the stage', g.warning) as evidence
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
            'unknown code, received %s times (latest %s): %s; fix: add it to '
            'seeds/ib_error_codes.csv', count(*), max(e.trade_date),
            (array_agg(e.error_message order by e.occurred_at desc))[1]
        ) as evidence
    from {{ ref('stg_ib__gateway_event') }} as e
    left join {{ ref('ib_error_codes') }} as k on e.error_code = k.error_code
    -- 2100 to 2199 are notices
    where k.error_code is null and e.error_code not between 2100 and 2199
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
            'its %s slot rows exist only in the archive and are not built; fix: quotemill restore '
            '--date %s, then quotemill build', p.row_count, p.partition_date
        ) as evidence
    from {{ ref('stg_ops__archive_partition') }} as p
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
    {{ rejected_row_findings(ref('stg_ib__rejected_row')) | indent }}
)

select * from {{ ref('int_option_days__failed') }}
union all
select * from {{ ref('int_option_nights__failed') }}
union all
select * from {{ ref('int_option_splits__failed') }}
union all
select * from {{ ref('int_option_mornings__failed') }}
union all
select * from watches
union all
select * from unknown_codes
union all
select * from lost_days
union all
select * from refused
