{# Models of earlier versions: their views go with what they read, their cursors hold no feed. #}
{% macro removed_models() -%}
    {{ return([
        'inferred_actions', 'qa_inferred_actions', 'int_corporate_actions__inferred',
        'int_adjustment__known_events', 'int_code_changes__proposed',
    ]) }}
{%- endmacro %}
