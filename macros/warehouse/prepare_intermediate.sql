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
            -- a day that comes or goes makes or mends gaps in every code's bars
            create function {{ schema }}.queue_changed_days() returns trigger
            language plpgsql security definer set search_path = pg_catalog as $function$
            begin
                insert into {{ schema }}.change_queue (consumer, code, first_date, last_date)
                select 'int_bars__findings', s.code, min(d.trade_date), max(d.trade_date)
                from changed_row as d cross join raw_tdx.security as s group by s.code;
                return null;
            end
            $function$;
        end if;

        if to_regprocedure('{{ schema }}.queue_changed_minutes()') is null then
            create function {{ schema }}.queue_changed_minutes() returns trigger
            language plpgsql security definer set search_path = pg_catalog as $function$
            begin
                insert into {{ schema }}.change_queue (consumer, code, first_date, last_date)
                select 'kline_5m', code, min(trade_date), max(trade_date)
                from changed_row group by code;
                return null;
            end
            $function$;
        end if;

        {% for table, rows, consumer, codes in [
            (bars, 'bars', 'kline_daily_qfq', 'select distinct code from ' ~ bars),
            ('raw_tdx.trading_day', 'days', 'kline_daily_qfq', 'select distinct code from ' ~ bars),
            ('raw_tdx.kline_minute', 'minutes', 'kline_5m', codes_of_minutes()),
        ] -%}
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
            insert into {{ schema }}.change_queue (consumer, code, first_date, last_date)
            select '{{ consumer }}', code, date '-infinity', date 'infinity'
            from ({{ codes }}) as c;
        end if;
        {% endfor %}
    end
    $prepare$
{%- endmacro %}
