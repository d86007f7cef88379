{# Post-hook, in the model's transaction: what was taken is done. #}
{% macro drop_taken_changes() -%}
    delete from quotemill_intermediate.change_queue
    where consumer = '{{ this.identifier }}' and is_taken
{%- endmacro %}
