{#
    A further part of the query of kline_5m: the landed five-minute bars of days without a minute.
    Not where TimescaleDB makes the bars of minutes alone (see is_continuous), nor of minutes that
    Citus has spread over nodes.
#}
{% macro landed_five_minutes() -%}
    {{ return('' if is_continuous() else by_edition('landed_five_minutes')()) }}
{%- endmacro %}

{#
    LIMIT keeps the planner from reading whole tables of minutes instead of probing for each day.
    The literals leave out chunks, as in taken_rows.
#}
{% macro default__landed_five_minutes() %}
{%- set spans = [['d.trade_date', 'd.trade_date']] -%}
{%- if model.reads_taken -%}
    {%- do spans.append(taken_span()) -%}
{%- endif %}
union all
select
    f.code,
    f.bar_end,
    f.trade_date,
    f.open,
    f.high,
    f.low,
    f.close,
    f.volume_shares,
    f.amount_cny,
    5 as bar_count,
    false as is_price_only,
    f.is_final,
    5::smallint as source_minutes
from (
    select * from {{ changed(ref('stg_tdx__kline_5m'), by='bar_end') }}
) as f
inner join (
    select
        d.code,
        d.trade_date
    from (
        select distinct
            code,
            trade_date
        from {{ changed(ref('stg_tdx__kline_5m'), by='bar_end') }}
    ) as d
    left join lateral (
        select m.code
        from {{ ref('stg_tdx__kline_minute') }} as m
        where
            m.code = d.code
            {%- for first_date, last_date in spans %}
            and m.bar_end > {{ first_date }}::timestamp at time zone 'Asia/Shanghai'
            and m.bar_end <= ({{ last_date }} + 1)::timestamp at time zone 'Asia/Shanghai'
            {%- endfor %}
        limit 1
    ) as m on true
    where m.code is null
) as without_minutes on f.code = without_minutes.code and f.trade_date = without_minutes.trade_date
{%- endmacro %}

{% macro citus__landed_five_minutes() -%}
    {%- if not is_distributed('raw_tdx.kline_minute') -%}
        {{ return(default__landed_five_minutes()) }}
    {%- endif -%}
{%- endmacro %}
