{#
    What the models of ticks and of the vendor's series need beside tables: triggers that note what
    changed (see docs block change_queue), the memory of known actions, and the functions that compare.
    Runs after prepare_intermediate, which made the queue, and under the same lock.

    Where a trigger had to be made, rows landed before it: then every code counts as changed.
#}
{% macro prepare_trades() -%}
    {%- set schema = 'quotemill_intermediate' -%}
    {%- set functions = create_affine_breaks(schema) -%}
    {%- set watched = [
        ('raw_tdx.tick_trade', 'ticks', 'raw_tdx.tick_trade'),
        ('raw_tdx.kline_adjusted', 'vendor_bars', 'raw_tdx.kline_adjusted'),
        ('raw_tdx.kline_daily', 'compared_bars', 'raw_tdx.kline_adjusted'),
    ] -%}
    do $prepare$
    begin
        perform pg_advisory_xact_lock(hashtextextended('quotemill:prepare_intermediate', 0));

        if to_regclass('{{ schema }}.applied_known_actions') is null then
            create table {{ schema }}.applied_known_actions (
                code text primary key,
                fingerprint text not null
            );
            -- owner's rights: whoever lands rows need not know the queue
            create function {{ schema }}.queue_changed_ticks() returns trigger
            language plpgsql security definer set search_path = pg_catalog as $function$
            begin
                insert into {{ schema }}.change_queue (consumer, code, first_date, last_date)
                select 'int_ticks__days', code, min(trade_date), max(trade_date)
                from changed_row group by code;
                return null;
            end
            $function$;
            -- an event shows only in the whole series
            create function {{ schema }}.queue_changed_vendor_bars() returns trigger
            language plpgsql security definer set search_path = pg_catalog as $function$
            begin
                insert into {{ schema }}.change_queue (consumer, code, first_date, last_date)
                select distinct
                    'int_corporate_actions__inferred', code, date '-infinity', date 'infinity'
                from changed_row;
                return null;
            end
            $function$;
            -- a raw bar matters here where the vendor has the day too
            create function {{ schema }}.queue_changed_compared_bars() returns trigger
            language plpgsql security definer set search_path = pg_catalog as $function$
            begin
                insert into {{ schema }}.change_queue (consumer, code, first_date, last_date)
                select distinct
                    'int_corporate_actions__inferred', r.code, date '-infinity', date 'infinity'
                from changed_row as r
                where exists (
                    select from raw_tdx.kline_adjusted as v
                    where v.code = r.code and v.trade_date = r.trade_date
                );
                return null;
            end
            $function$;
        end if;

        {% for table, rows, listed_in in watched -%}
        if not exists (
            select from pg_trigger
            where tgrelid = to_regclass('{{ table }}') and tgname = 'queue_deleted_{{ rows }}'
        ) then
            create trigger queue_inserted_{{ rows }} after insert on {{ table }}
            referencing new table as changed_row
            for each statement execute function {{ schema }}.queue_changed_{{ rows }}();
            create trigger queue_updated_{{ rows }} after update on {{ table }}
            referencing new table as changed_row
            for each statement execute function {{ schema }}.queue_changed_{{ rows }}();
            create trigger queue_deleted_{{ rows }} after delete on {{ table }}
            referencing old table as changed_row
            for each statement execute function {{ schema }}.queue_changed_{{ rows }}();
            -- from code to code by the key: the table may be long
            insert into {{ schema }}.change_queue (consumer, code, first_date, last_date)
            with recursive codes as (
                (select t.code from {{ listed_in }} as t order by t.code limit 1)
                union all
                select (
                    select t.code from {{ listed_in }} as t
                    where t.code > codes.code order by t.code limit 1
                )
                from codes
                where codes.code is not null
            )
            select
                '{{ 'int_ticks__days' if rows == 'ticks' else 'int_corporate_actions__inferred' }}',
                code, date '-infinity', date 'infinity'
            from codes where code is not null;
        end if;
        {% endfor %}

        -- of these very lines; older ones are replaced
        if not exists (
            select from pg_proc as f
            inner join pg_namespace as n on f.pronamespace = n.oid
            where n.nspname = '{{ schema }}' and f.proname = 'affine_breaks'
                and obj_description(f.oid, 'pg_proc') = '{{ local_md5(functions) }}'
        ) then
            drop function if exists {{ schema }}.affine_fit;
            drop function if exists {{ schema }}.affine_breaks;
            {{ functions }}
            comment on function {{ schema }}.affine_breaks is '{{ local_md5(functions) }}';
        end if;
    end
    $prepare$
{%- endmacro %}
