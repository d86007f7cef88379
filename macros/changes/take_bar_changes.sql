{#
    Pre-hook of kline_daily_qfq, in its transaction: take the queued changes of raw bars, add the
    whole history of each code whose adjustment differs from the one last applied, and queue the same
    for the models that follow from it. A build that fails takes nothing.
#}
{% macro take_bar_changes(segments) -%}
    {%- set queue = 'quotemill_intermediate.change_queue' -%}
    {%- set applied = 'quotemill_intermediate.applied_adjustment' -%}
    {% if not is_incremental() -%}
        delete from {{ applied }};
        insert into {{ queue }} (consumer, code, first_date, last_date)
        select distinct '{{ this.identifier }}', code, date '-infinity', date 'infinity'
        from raw_tdx.kline_daily;
    {% endif -%}
    with current_adjustment as (
        select
            code,
            md5(string_agg(
                concat_ws(
                    ':', price_decimals, valid_from, trim_scale(backward_a), trim_scale(backward_b),
                    has_inferred_action, has_refused_action
                ),
                ',' order by valid_from
            )) as fingerprint
        from {{ segments }}
        group by code
    ),

    changed as (
        select
            coalesce(c.code, a.code) as code,
            c.fingerprint
        from current_adjustment as c
        full join {{ applied }} as a on c.code = a.code
        where c.fingerprint is distinct from a.fingerprint
    ),

    forgotten as (
        delete from {{ applied }}
        where code in (select code from changed where fingerprint is null)
    ),

    remembered as (
        insert into {{ applied }} (code, fingerprint)
        select code, fingerprint from changed where fingerprint is not null
        on conflict (code) do update set fingerprint = excluded.fingerprint
    )

    insert into {{ queue }} (consumer, code, first_date, last_date)
    select '{{ this.identifier }}', code, date '-infinity', date 'infinity' from changed;
    {{ take_changes() }};
    insert into {{ queue }} (consumer, code, first_date, last_date)
    select
        'kline_weekly_qfq',
        code,
        date_trunc('week', first_date::timestamp)::date,
        (date_trunc('week', last_date::timestamp) + interval '6 days')::date
    from ({{ taken_changes() }}) as t
    union all
    select
        'kline_monthly_qfq',
        code,
        date_trunc('month', first_date::timestamp)::date,
        (date_trunc('month', last_date::timestamp) + interval '1 month' - interval '1 day')::date
    from ({{ taken_changes() }}) as t
    union all
    select 'int_bars__findings', code, first_date, last_date
    from ({{ taken_changes() }}) as t
{%- endmacro %}
