{# The `retain` of a landed table: the age at which `quotemill retention` drops days; or none. #}
{% macro retention(table) -%}
    {%- for source in graph.sources.values() if source.schema ~ '.' ~ source.identifier == table -%}
        {{ return(((source.config.get('meta') or {}).get('hypertable') or {}).get('retain')) }}
    {%- endfor -%}
    {{ return(none) }}
{%- endmacro %}

{# The oldest day that is not dropped by age, as text; none without a `retain`. #}
{% macro first_day_retained(retain) -%}
    {%- if not retain -%}{{ return(none) }}{%- endif -%}
    {{ return(run_query(
        "select (now() at time zone 'UTC' - interval '" ~ retain ~ "')::date::text"
    ).rows[0][0]) }}
{%- endmacro %}
