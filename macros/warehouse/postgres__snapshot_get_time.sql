{# A time with its zone, as our snapshots have: of dbt's, without one, each run would warn. #}
{% macro postgres__snapshot_get_time() -%}
    now()
{%- endmacro %}
