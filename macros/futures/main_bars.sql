{#
    The model of the bars of `minutes` minutes of main contracts, adjusted as futures.main_daily is.

    A bar is a stretch of the exchange's clock within one session (hours without a break), labelled
    with its start; where the session starts later, with that. The exchange is whole hours from UTC,
    so stretches that divide an hour need no time zone. Bars are made on reading, one scheduled day
    after another, by the landed table's key: a filter on variety and days reads those days alone.
#}
{% macro main_bars(minutes) -%}
    {%- set start = 'm.start_at' if minutes == 1 else "greatest(
            date_bin('" ~ minutes ~ " minutes', m.start_at, timestamptz '2000-01-01 00:00+00'),
            m.session_start_at
        )" -%}
    {%- set of_the_day = 'm.contract = s.underlying_contract and m.trading_day = s.trading_day' -%}
    select
        s.variety,
        s.symbol,
        s.trading_day,
        b.start_at,
        s.underlying_contract,
        s.segment_id,
        b.open,
        b.high,
        b.low,
        b.close,
        b.volume_lots,
        b.amount_cny,
        b.close_oi,
        b.minute_count,
        b.tick_count,
        d.status = 'complete' and coalesce(t.row_hash = d.row_hash, false) as is_complete,
        a.is_roll and s.trading_day = a.first_trading_day as is_roll,
        {{ adjusted_prices() | indent }}
    from {{ ref('main_schedule') }} as s
    inner join {{ ref('int_main_segments__adjusted') }} as a
        on s.variety = a.variety and s.segment_id = a.segment_id
    {{ joined_tick_days() }}
    cross join lateral (
        {% if minutes == 1 -%}
        select
            m.*,
            1 as minute_count
        from {{ ref('stg_tq__tick_minute') }} as m
        where {{ of_the_day }}
        {%- else -%}
        select
            {{ start }} as start_at,
            (
                array_agg(m.open order by m.start_at) filter (where m.open is not null)
            )[1]::numeric(24, 9) as open,
            max(m.high)::numeric(24, 9) as high,
            min(m.low)::numeric(24, 9) as low,
            (array_agg(m.close order by m.start_at))[count(*)]::numeric(24, 9) as close,
            sum(m.volume_lots)::bigint as volume_lots,
            sum(m.amount_cny)::numeric(20, 3) as amount_cny,
            (array_agg(m.close_oi order by m.start_at))[count(*)] as close_oi,
            count(*)::integer as minute_count,
            sum(m.tick_count)::integer as tick_count
        from {{ ref('stg_tq__tick_minute') }} as m
        where {{ of_the_day }}
        group by {{ start }}
        {%- endif %}
    ) as b
{%- endmacro %}
