{% set checks = [
    'qa_bars',
    'qa_missing_days',
    'qa_index_bars',
    'qa_non_trading_days',
    'qa_rejected_rows',
    'qa_corporate_action_source',
    'qa_split_without_ratio',
    'qa_code_changes',
    'qa_seed_lines',
    'qa_calendar_horizon',
    'qa_predicted_days',
    'qa_stale_datasets',
    'qa_newest_day',
    'qa_incomplete_minutes',
    'qa_tick_days',
    'qa_inferred_actions',
    'qa_reconciliation',
    'qa_main_schedule',
    'qa_roll_gaps',
    'qa_contract_terms',
    'qa_tick_coverage',
    'qa_main_minutes',
    'qa_options',
] %}

{% for check in checks %}
    select * from {{ ref(check) }}
    {% if not loop.last %}
        union all
    {% endif %}
{% endfor %}
