{# Post-hook: the reader role may read this relation, however it was built or rebuilt. #}
{% macro grant_select() -%}
    {%- set role = reader_role() -%}
    {%- if role -%}
        grant select on {{ this }} to {{ role }}
    {%- endif -%}
{%- endmacro %}
