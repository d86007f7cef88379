{#
    At the end of a run: the functions kline_daily_qfq_as_of(day), those of weeks, months, minutes
    and longer bars in the market's schema: forward-adjusted bars up to the day, by the events with
    an ex-date up to it. A function is made once all that it reads is built. Its body is inlined
    into the caller's query, which so reads the rows that it asks for; it has no dependencies, so
    that a table in it can be replaced.

    The backward coefficients of a segment rest on the events before it alone, so those of the
    segment that the day lies in are the latest that the day knows.
#}
{% macro create_as_of_functions() -%}
    {%- if execute and flags.WHICH in ('build', 'run') -%}
        {%- set schema = generate_schema_name('') -%}
        {%- set day -%}
        coalesce(
            ({{ as_of_market_day(schema) }}),
            (
                select max(k.trade_date) from {{ schema }}.kline_daily as k
                where k.trade_date <= as_of_day
            )
        )
        {%- endset -%}
        {#- with the coefficients of the segment that the day lies in as latest -#}
        {%- set segments -%}
        (
            select
                o.code,
                o.valid_from,
                o.valid_to,
                o.backward_a,
                o.backward_b,
                n.backward_a as latest_a,
                n.backward_b as latest_b,
                o.price_decimals,
                o.has_refused_action
            from {{ schema }}.adjustment_segments as o
            inner join {{ schema }}.adjustment_segments as n
                on o.code = n.code and n.valid_from <= {{ day }} and n.valid_to > {{ day }}
        )
        {%- endset -%}
        {#- the trading day after the newest final one up to as_of_day: int_market_day__latest -#}
        {%- set next_day -%}
        (
            select
                {{ next_trading_day(schema ~ '.trading_calendar', 'f.final_date') }}
                    as next_trade_date
            from (
                select
                    greatest(
                        ({{ as_of_market_day(schema, is_final=true) }}),
                        (
                            select max(i.trade_date) from {{ schema }}.index_kline_daily as i
                            where i.code = 'sh000001' and i.is_final and i.trade_date <= as_of_day
                        )
                    ) as final_date
            ) as f
        )
        {%- endset -%}
        {%- set days -%}
        select
            b.code,
            b.trade_date,
            {{ forward_adjusted() }},
            b.volume_shares,
            b.amount_cny,
            b.is_final,
            coalesce(s.has_refused_action, false)
        from {{ schema }}.kline_daily as b
        left join {{ segments }} as s
            on b.code = s.code and b.trade_date >= s.valid_from and b.trade_date < s.valid_to
        where b.trade_date <= as_of_day
        {%- endset -%}
        {%- set prices = 'open numeric, high numeric, low numeric, close numeric'
            ~ ', volume_shares bigint, amount_cny numeric' -%}
        {%- set marks = 'is_final boolean, has_refused_action boolean' -%}
        {%- set known = ['adjustment_segments', 'trading_calendar', 'kline_daily'] -%}
        {%- set functions = [(
            'kline_daily_qfq', known, 'code text, trade_date date, ' ~ prices ~ ', ' ~ marks, days
        )] -%}
        {%- for period, name in [('week', 'weekly'), ('month', 'monthly')] -%}
            {#- the running one has its days up to as_of_day -#}
            {%- set periods -%}
            {{ period_of_days(period, next_day) }}
            from (
                select
                    *,
                    date_trunc('{{ period }}', trade_date::timestamp)::date as {{ period }}_start
                from {{ schema }}.kline_daily_qfq_as_of(as_of_day)
            ) as days
            group by code, {{ period }}_start
            {%- endset -%}
            {%- do functions.append((
                'kline_' ~ name ~ '_qfq', known + ['index_kline_daily'],
                'code text, ' ~ period ~ '_start date, trade_date date, ' ~ prices
                ~ ', bar_count integer, ' ~ marks, periods
            )) -%}
        {%- endfor -%}
        {%- for name in ('minute', '5m', '15m', '30m', '60m') -%}
            {%- set bars = 'kline_minute_raw' if name == 'minute' else 'kline_' ~ name -%}
            {%- set is_longer = name != 'minute' -%}
            {%- do functions.append((
                'kline_' ~ name ~ '_qfq', known + [bars],
                'code text, bar_end timestamp with time zone, trade_date date, ' ~ prices
                ~ (', bar_count integer' if is_longer) ~ ', is_price_only boolean, ' ~ marks
                ~ (', source_minutes smallint' if is_longer),
                adjusted_minutes(schema ~ '.' ~ bars, forward_adjusted(), is_longer, segments)
                ~ '\n    where b.trade_date <= as_of_day'
            )) -%}
        {%- endfor -%}
        do $create$
        begin
            {{ lock_name('create_as_of_functions') }};
            {% for name, reads, columns, body in functions -%}
            {%- set function = schema ~ '.' ~ name ~ '_as_of' -%}
            if
                {% for read in reads -%}
                {{ 'and ' if not loop.first }}to_regclass('{{ schema }}.{{ read }}') is not null
                {% endfor -%}
            then
                -- a function keeps its columns when it is replaced
                if
                    pg_get_function_result(to_regprocedure('{{ function }}(date)'))
                    <> 'TABLE({{ columns }})'
                then
                    drop function {{ function }}(date);
                end if;
                create or replace function {{ function }}(as_of_day date)
                returns table ({{ columns }})
                language sql stable parallel safe rows 10000000 as $function$
                {{ body }}
                $function$;
                comment on function {{ function }}(date) is
                    'One row per bar of {{ name }} as seen on the day: bars up to it, adjusted by '
                    'the events with an ex-date up to it.';
            end if;
            {% endfor %}
        end
        $create$
    {%- endif -%}
{%- endmacro %}

{# The newest trading day up to as_of_day with a bar of any code, as int_market_day__latest. #}
{% macro as_of_market_day(schema, is_final=false) -%}
    select c.trade_date from {{ schema }}.trading_calendar as c
    where
        c.trade_date <= as_of_day
        and exists (
            select 1 from {{ schema }}.kline_daily as k
            where k.trade_date = c.trade_date{{ ' and k.is_final' if is_final }}
        )
    order by c.trade_date desc
    limit 1
{%- endmacro %}
