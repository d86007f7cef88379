{%- set rollups = [
    ('minute5', 'kline_5m', 5),
    ('minute15', 'kline_15m', 15),
    ('minute30', 'kline_30m', 30),
    ('hour', 'kline_60m', 60),
] -%}
{%- set around_the_month %}
    k.trade_date between date_trunc('month', s.first_date::timestamp)::date - 7
        and (date_trunc('month', s.last_date::timestamp) + interval '38 days')::date
{%- endset -%}

-- materialized: else Citus copies all day bars to join them
with days as materialized (
    {{ sample_rows(ref('stg_tdx__kline_daily'), around_the_month) | indent }}
),

periods_of_days as (
    select
        d.*,
        p.period,
        p.bucket
    from days as d
    cross join lateral (
        values
        ('week', date_trunc('week', d.trade_date::timestamp)::date),
        ('month', date_trunc('month', d.trade_date::timestamp)::date)
    ) as p (period, bucket)
)

select
    run_id,
    code,
    period,
    bucket::text as bucket,
    max(trade_date) as trade_date,
    (max(trade_date) + time '15:00') at time zone 'Asia/Shanghai' as bar_end,
    {{ folded_bars('trade_date') }},
    count(*)::integer as part_count,
    max(volume_unit) as volume_unit,
    null::integer as minutes,
    null::integer as bar_minutes,
    bool_or(volume_flag <> 'ok') as has_odd_volume,
    false as is_price_only,
    bool_and(is_final) as is_final,
    false as is_landed_bar
from periods_of_days
group by run_id, code, period, bucket
{%- for period, relation, minutes in rollups %}
    union all
    select
        run_id,
        code,
        '{{ period }}' as period,
        extract(epoch from bar_end)::text as bucket,
        trade_date,
        bar_end,
        open,
        high,
        low,
        close,
        volume_shares,
        amount_cny,
        bar_count as part_count,
        null::integer as volume_unit,
        bar_count as minutes,
        {{ minutes }} as bar_minutes,
        false as has_odd_volume,
        is_price_only,
        is_final or is_price_only as is_final,
        coalesce(source_minutes = {{ minutes }}, false) as is_landed_bar
    from (
        {{ sample_rows(ref(relation)) | indent }}
    ) as {{ relation }}
{%- endfor %}
