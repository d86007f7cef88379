{#
    At the end of a run: the functions kline_daily_qfq_as_of(day), those of weeks, months, minutes
    and longer bars in the market's schema: forward-adjusted bars up to the day, by the events with
    an ex-date up to it. A function is made once all that it reads is built, and again when its text
    is another. Its body is inlined into the caller's query, which so reads the rows that it asks
    for; it has no dependencies, so that a table in it can be replaced.

    The backward coefficients of a segment rest on the events before it alone, so those of the
    segment that the day lies in are the latest that the day knows.
#}
{% macro create_as_of_functions() -%}
    {%- if execute and flags.WHICH in ('build', 'run') -%}
        {%- set schema = generate_schema_name('') -%}
        {%- set day = as_of_market_day(schema) -%}
        {%- set segments = as_of_segments(schema, day) -%}
        {%- set next_day = as_of_next_day(schema) -%}
        {%- set prices = 'open numeric, high numeric, low numeric, close numeric'
            ~ ', volume_shares bigint, amount_cny numeric' -%}
        {%- set marks = 'is_final boolean, has_refused_action boolean' -%}
        {%- set known = ['adjustment_segments', 'trading_calendar'] -%}
        {%- set functions = [(
            'kline_daily_qfq', known + ['kline_daily'],
            'code text, trade_date date, ' ~ prices ~ ', ' ~ marks,
            as_of_days(schema, segments)
        )] -%}
        {%- for period, name in [('week', 'weekly'), ('month', 'monthly')] -%}
            {%- do functions.append((
                'kline_' ~ name ~ '_qfq', known + ['kline_daily', 'index_kline_daily'],
                'code text, ' ~ period ~ '_start date, trade_date date, ' ~ prices
                ~ ', bar_count integer, ' ~ marks,
                as_of_periods(schema, period, next_day)
            )) -%}
        {%- endfor -%}
        {%- for name, bars, count in [
            ('minute', 'minute_raw', ''), ('5m', '5m', 'bar_count integer, '),
            ('15m', '15m', 'bar_count integer, '), ('30m', '30m', 'bar_count integer, '),
            ('60m', '60m', 'bar_count integer, '),
        ] -%}
            {%- set bars = 'kline_' ~ bars -%}
            {%- do functions.append((
                'kline_' ~ name ~ '_qfq', known + ['kline_daily', bars],
                'code text, bar_end timestamptz, trade_date date, ' ~ prices
                ~ ', ' ~ count ~ 'is_price_only boolean, ' ~ marks,
                adjusted_minutes(
                    schema ~ '.' ~ bars, forward_adjusted(),
                    ['bar_count'] if count else [], segments='(' ~ segments ~ ')'
                ) ~ '\n    where b.trade_date <= as_of_day'
            )) -%}
        {%- endfor -%}
        do $create$
        begin
            perform pg_advisory_xact_lock(hashtextextended('quotemill:create_as_of_functions', 0));
            {% for name, reads, columns, body in functions -%}
            {%- set function = schema ~ '.' ~ name ~ '_as_of' -%}
            {%- set text = columns ~ body -%}
            if
                {% for read in reads -%}
                to_regclass('{{ schema }}.{{ read }}') is not null and
                {% endfor -%}
                not exists (
                    select 1 from pg_proc
                    where oid = to_regprocedure('{{ function }}(date)')
                        and obj_description(oid, 'pg_proc') like '% {{ local_md5(text) }}'
                )
            then
                drop function if exists {{ function }}(date);
                create function {{ function }}(as_of_day date)
                returns table ({{ columns }})
                language sql stable parallel safe rows 10000000 as $function$
                {{ body }}
                $function$;
                comment on function {{ function }}(date) is
                    'One row per bar of {{ name }} as seen on the day: bars up to it, adjusted by '
                    'the events with an ex-date up to it. Text: {{ local_md5(text) }}';
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

{# The trading day after the newest final one up to as_of_day, as int_market_day__latest. #}
{% macro as_of_next_day(schema) -%}
    (
        select
            {{ next_trading_day(schema ~ '.trading_calendar', 'f.final_date') }} as next_trade_date
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
{%- endmacro %}

{# The segments up to the day `day`, with the coefficients of the one that it lies in as latest. #}
{% macro as_of_segments(schema, day) -%}
    {%- set day -%}
    coalesce(
        ({{ day }}),
        (
            select max(k.trade_date) from {{ schema }}.kline_daily as k
            where k.trade_date <= as_of_day
        )
    )
    {%- endset -%}
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
{%- endmacro %}

{# The days as seen on as_of_day. #}
{% macro as_of_days(schema, segments) -%}
    select
        b.code,
        b.trade_date,
        {{ forward_adjusted() }},
        b.volume_shares,
        b.amount_cny,
        b.is_final,
        coalesce(s.has_refused_action, false)
    from {{ schema }}.kline_daily as b
    left join ({{ segments }}) as s
        on b.code = s.code and b.trade_date >= s.valid_from and b.trade_date < s.valid_to
    where b.trade_date <= as_of_day
{%- endmacro %}

{# The weeks or months (`period`) as seen on as_of_day; the running one has its days up to it. #}
{% macro as_of_periods(schema, period, next_day) -%}
    {{ period_of_days(period, next_day) }}
    from (
        select
            *,
            date_trunc('{{ period }}', trade_date::timestamp)::date as {{ period }}_start
        from {{ schema }}.kline_daily_qfq_as_of(as_of_day)
    ) as days
    group by code, {{ period }}_start
{%- endmacro %}
