{# Prices and sizes of the captured quote `q`. #}
{% macro price_columns(q) -%}
    {{ q }}.bid,
    {{ q }}.ask,
    {{ q }}.mid,
    ({{ q }}.ask - {{ q }}.bid)::numeric(18, 3) as spread,
    (({{ q }}.ask - {{ q }}.bid) / nullif({{ q }}.mid, 0))::numeric(18, 6) as spread_pct,
    {{ q }}.last,
    {{ q }}.close_prev,
    {{ q }}.bid_size,
    {{ q }}.ask_size,
    {{ q }}.last_size
{%- endmacro %}

{# The columns of a staging view of captured quotes: of a slot, or of the close view. #}
{% macro option_quotes(relation) -%}
    select
        trade_date,
        sample_time,
        conid,
        symbol,
        slot_30m,
        slot_label,
        {% for name in [
            'bid', 'ask', 'last', 'close_prev', 'bid_size', 'ask_size', 'last_size'
        ] -%}
        {{ name }},
        {% endfor -%}
        volume as volume_contracts,
        {% for name in [
            'iv', 'iv_bid', 'iv_ask', 'delta', 'gamma', 'vega', 'theta',
            'opt_price_model', 'pv_dividend', 'und_price', 'und_bid', 'und_ask', 'und_last',
            'und_quote_at', 'market_data_type', 'requested_data_type', 'greeks_source',
            'captured_at', 'asof_at', 'capture_lag_s', 'snapshot_error', 'error_type', 'error_code',
            'error_message'
        ] -%}
        {{ name }},
        {% endfor -%}
        coalesce(string_to_array(nullif(data_quality_flag, ''), ','), '{}') as data_quality_flag,
        ingest_id,
        ingest_run_type,
        source,
        config_hash,
        code_version
    from {{ relation }}
{%- endmacro %}
