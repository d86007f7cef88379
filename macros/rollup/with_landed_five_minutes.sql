{#
    The query of kline_5m: each day of a code has the bars made of its minutes (`minutes_query`) or
    the landed ones of five minutes. Minutes make the day once 239 of them are final; until then the
    landed bars do, if all 48 are final or they cover more of the day.

    Minutes alone make it where TimescaleDB keeps the bars (see is_continuous), or where Citus has
    spread them over nodes.
#}
{% macro with_landed_five_minutes(minutes_query) -%}
    {{ return(
        minutes_query if is_continuous() else by_edition('with_landed_five_minutes')(minutes_query)
    ) }}
{%- endmacro %}

{#
    The minutes of a day are counted by a probe for each: a join would read whole tables of them.
    The literals leave out chunks, as in taken_rows.
#}
{% macro default__with_landed_five_minutes(minutes_query) %}
{%- set spans = [['d.trade_date', 'd.trade_date']] -%}
{%- if model.reads_taken -%}
    {%- do spans.append(taken_span()) -%}
{%- endif -%}
with bars_of_minutes as (
    {{ minutes_query | indent }}
),

-- read twice rather than copied
landed_bars as not materialized (
    select * from {{ changed(ref('stg_tdx__kline_5m'), by='bar_end') }}
),

-- 13:01 is in the bar before noon on many days: 239 minutes are complete
landed_days as materialized (
    select
        d.code,
        d.trade_date
    from (
        select
            code,
            trade_date,
            5 * count(*) as minute_count,
            5 * count(*) filter (where is_final) as final_count
        from landed_bars
        group by code, trade_date
    ) as d
    cross join lateral (
        select
            count(*) as minute_count,
            count(*) filter (where m.is_final) as final_count
        from {{ ref('stg_tdx__kline_minute') }} as m
        where
            m.code = d.code
            {%- for first_date, last_date in spans %}
            and m.bar_end > {{ first_date }}::timestamp at time zone 'Asia/Shanghai'
            and m.bar_end <= ({{ last_date }} + 1)::timestamp at time zone 'Asia/Shanghai'
            {%- endfor %}
    ) as m
    where m.final_count < 239 and (d.final_count >= 239 or d.minute_count > m.minute_count)
)

select b.*
from bars_of_minutes as b
where
    not exists (
        select 1 from landed_days as d
        where d.code = b.code and d.trade_date = b.trade_date
    )
union all
select
    l.code,
    l.bar_end,
    l.trade_date,
    l.open,
    l.high,
    l.low,
    l.close,
    l.volume_shares,
    l.amount_cny,
    5 as bar_count,
    false as is_price_only,
    l.is_final,
    5::smallint as source_minutes
from landed_bars as l
inner join landed_days as d on l.code = d.code and l.trade_date = d.trade_date
{%- endmacro %}

{% macro citus__with_landed_five_minutes(minutes_query) -%}
    {{ return(
        minutes_query if is_distributed('raw_tdx.kline_minute')
        else default__with_landed_five_minutes(minutes_query)
    ) }}
{%- endmacro %}
