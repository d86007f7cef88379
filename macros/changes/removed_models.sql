{#
    What earlier versions built and this one does not, in the order in which it can be dropped: see
    drop_removed_relations. Readers among it go with what they read; their cursors hold no feed.
    Not a model of that name that a user keeps.
#}
{% macro removed_models() -%}
    {%- set kept = [] -%}
    {%- for node in graph.nodes.values() if execute and node.resource_type == 'model' -%}
        {%- do kept.append(node.alias) -%}
    {%- endfor -%}
    {{ return([
        'int_reconcile__days', 'stg_ops__reconciliation_run', 'stg_ops__reconciliation_sample',
        'stg_ib__unresolved_contract',
        'second_main_daily', 'int_second_main_segments__adjusted', 'int_second_main_segments',
        'second_main_schedule', 'int_bars__paired', 'int_bars__hashed',
        'int_option_actions__listed',
        'stg_seeds__code_change', 'stg_seeds__corporate_action_override',
        'stg_seeds__price_limit', 'stg_seeds__us_corporate_action',
    ] | reject('in', kept) | list) }}
{%- endmacro %}
