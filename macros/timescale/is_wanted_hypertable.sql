{# Whether a table with this meta.hypertable is meant to be one: its `setting`, if any, is on. #}
{% macro is_wanted_hypertable(wanted) -%}
    {%- if not wanted or not wanted.get('setting') -%}{{ return(wanted is not none) }}{%- endif -%}
    {{ return(run_query(
        "select 1 from ops.settings
        where key = '" ~ wanted['setting'] ~ "' and value = 'true'"
    ).rows | length > 0) }}
{%- endmacro %}
