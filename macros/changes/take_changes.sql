{#
    Pre-hook: take what is queued for this model. Rows committed from here on stay for the next build,
    even those that the model's query will already see; the upsert makes a second look harmless.
#}
{% macro take_changes() -%}
    update quotemill_intermediate.change_queue
    set is_taken = true
    where consumer = '{{ this.identifier }}'
{%- endmacro %}
