{# The columns that the header of a seed that users edit must have, in any order. #}
{% macro seed_header(seed) -%}
    {{ return({
        'corporate_action_overrides': [
            'code', 'ex_date', 'action', 'category', 'cash_per10_yuan', 'bonus_total_per10',
            'rights_per10', 'rights_price_yuan', 'split_ratio', 'reason',
        ],
        'us_corporate_actions': [
            'symbol', 'ex_date', 'type', 'ratio_num', 'ratio_den', 'source',
        ],
        'code_changes_known': ['old_code', 'new_code', 'valid_from', 'source'],
        'price_limits': [
            'board', 'valid_from', 'limit_percent', 'st_limit_percent', 'days_without_limit',
            'source',
        ],
    }[seed]) }}
{%- endmacro %}
