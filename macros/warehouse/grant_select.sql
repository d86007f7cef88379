{# Post-hook: let the reader role read this table or view of its, however it was built. #}
{% macro grant_select() -%}
    {%- set role = reader_role() -%}
    {%- if role and 'steps' not in model.fqn -%}
        grant select on {{ this }} to {{ role }}
    {%- endif -%}
{%- endmacro %}
