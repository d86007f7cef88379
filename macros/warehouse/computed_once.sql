{#
    The end of a step whose columns later steps name several times: the planner would write each
    expression out wherever it is named, and compute it as often.
#}
{% macro computed_once() -%} offset 0 {%- endmacro %}
