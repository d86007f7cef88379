{#
    What the models need beside tables, made once: the exact product of numerics, the queue of
    changes (see docs block change_queue), and the triggers that fill it. One statement under a lock:
    two runs side by side do not race, and with everything there it writes nothing.

    Where a trigger had to be made, rows landed before it: then every code counts as changed.
#}
{% macro prepare_intermediate() -%}
    {%- set schema = 'quotemill_intermediate' -%}
    {%- set bars = 'raw_tdx.kline_daily' -%}
    do $prepare$
    begin
        perform pg_advisory_xact_lock(hashtextextended('quotemill:prepare_intermediate', 0));
        -- even `if not exists` would ask for a right that the writer may lack
        if to_regnamespace('{{ schema }}') is null then
            create schema {{ schema }};
        end if;

        if to_regprocedure('{{ schema }}.nprod(numeric)') is null then
            create aggregate {{ schema }}.nprod(numeric) (
                sfunc = numeric_mul, stype = numeric, initcond = '1', parallel = safe
            );
        end if;

        if to_regclass('{{ schema }}.change_queue') is null then
            create table {{ schema }}.change_queue (
                consumer text not null,
                code text not null,
                first_date date not null,
                last_date date not null,
                is_taken boolean not null default false
            );
            create index on {{ schema }}.change_queue (consumer);
            create table {{ schema }}.applied_adjustment (
                code text primary key,
                fingerprint text not null
            );
            -- owner's rights: whoever lands rows need not know the queue
            create function {{ schema }}.queue_changed_bars() returns trigger
            language plpgsql security definer set search_path = pg_catalog as $function$
            begin
                insert into {{ schema }}.change_queue (consumer, code, first_date, last_date)
                select 'kline_daily_qfq', code, min(trade_date), max(trade_date)
                from changed_row group by code;
                return null;
            end
            $function$;
        end if;

        if to_regclass('{{ bars }}') is not null and not exists (
            select from pg_trigger
            where tgrelid = to_regclass('{{ bars }}') and tgname = 'queue_deleted_bars'
        ) then
            create trigger queue_inserted_bars after insert on {{ bars }}
            referencing new table as changed_row
            for each statement execute function {{ schema }}.queue_changed_bars();
            create trigger queue_updated_bars after update on {{ bars }}
            referencing new table as changed_row
            for each statement execute function {{ schema }}.queue_changed_bars();
            create trigger queue_deleted_bars after delete on {{ bars }}
            referencing old table as changed_row
            for each statement execute function {{ schema }}.queue_changed_bars();
            insert into {{ schema }}.change_queue (consumer, code, first_date, last_date)
            select distinct 'kline_daily_qfq', code, date '-infinity', date 'infinity'
            from {{ bars }};
        end if;
    end
    $prepare$
{%- endmacro %}
