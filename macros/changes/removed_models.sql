{#
    What earlier versions built and this one does not, in the order in which it can be dropped: see
    drop_removed_relations. Readers among it go with what they read; their cursors hold no feed.
#}
{% macro removed_models() -%}
    {{ return([
        'int_reconcile__days',
        'stg_ib__unresolved_contract',
        'second_main_daily', 'int_second_main_segments__adjusted', 'int_second_main_segments',
        'second_main_schedule', 'int_bars__paired', 'int_bars__hashed',
    ]) }}
{%- endmacro %}
