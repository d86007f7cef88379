{# A load makes schema ops and the landed tables; without it every model would fail by itself. #}
{% macro require_loaded_warehouse() -%}
    {%- if execute and run_query("select to_regclass('ops.change_cursors') is null").rows[0][0] -%}
        {{ exceptions.raise_compiler_error(
            "This warehouse holds nothing to build from yet. Load it first: loaders run"
        ) }}
    {%- endif -%}
{%- endmacro %}
