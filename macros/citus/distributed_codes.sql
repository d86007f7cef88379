{# The table of every code that a distributed table has had, itself distributed. #}
{% macro distributed_codes() -%} ops.distributed_code {%- endmacro %}
