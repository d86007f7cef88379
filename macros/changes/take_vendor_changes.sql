{#
    Pre-hook of int_corporate_actions__inferred: take what is queued, and add each code with a vendor's
    series whose known actions differ from those it was last compared with. Where nothing of a vendor is
    loaded, nothing is read.
#}
{% macro take_vendor_changes(known_events) -%}
    {%- set queue = 'quotemill_intermediate.change_queue' -%}
    {%- set applied = 'quotemill_intermediate.applied_known_actions' -%}
    with known_actions as (
        select
            e.code,
            md5(string_agg(concat_ws(':', e.ex_date, e.m, e.c), ',' order by e.ex_date)) as fingerprint
        from {{ known_events }} as e
        where (
            exists (select from raw_tdx.kline_adjusted) or exists (select from {{ applied }})
        )
        and e.code in (
            select a.code from {{ applied }} as a
            union all
            select v.code from raw_tdx.security as v
            where exists (select from raw_tdx.kline_adjusted as k where k.code = v.code)
        )
        group by e.code
    ),

    changed as (
        select
            coalesce(k.code, a.code) as code,
            k.fingerprint
        from known_actions as k
        full join {{ applied }} as a on k.code = a.code
        where k.fingerprint is distinct from a.fingerprint
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
    {{ take_changes() }}
{%- endmacro %}
