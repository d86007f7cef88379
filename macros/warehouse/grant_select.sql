{# Post-hook: let the reader role read this relation, however it was built. #}
{% macro grant_select() -%}
    {%- set role = reader_role() -%}
    {%- if role -%}
        grant select on {{ this }} to {{ role }}
    {%- endif -%}
{%- endmacro %}
