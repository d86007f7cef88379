{#
    The flags of the array `flags` and those of `more` (condition by flag) that hold, sorted, each
    once.
#}
{% macro merged_flags(flags, more) -%}
    array(
        select distinct f.flag collate "C"
        from unnest(
            {{ flags }} || array[
                {% for flag, condition in more.items() -%}
                case when {{ condition }} then '{{ flag }}' end
                {{- ', ' if not loop.last }}
                {% endfor %}
            ]
        ) as f (flag)
        where f.flag is not null
        order by 1
    ) collate "default"
{%- endmacro %}

{# The closed list of flags; any other flag is a finding. #}
{% macro known_flags() -%}
    {{ return([
        'adjusted_contract', 'butterfly_violation', 'calendar_fallback',
        'calendar_violation', 'crossed_quote', 'delayed_fallback', 'delta_out_of_range',
        'discovery_stale', 'gamma_negative', 'incomplete_answer', 'iv_mismatch', 'iv_out_of_range',
        'late_capture', 'locked_quote', 'missing_greeks', 'missing_oi', 'missing_price', 'no_quote',
        'oi_enrichment_failed', 'oi_late', 'oi_stale', 'parity_violation', 'ref_price_stale',
        'slot_coverage_breach', 'slot_retry_exceeded', 'snapshot_error', 'underlying_stale',
        'value_out_of_range', 'vega_negative', 'volume_reset', 'wide_spread', 'zero_bid',
    ]) }}
{%- endmacro %}
