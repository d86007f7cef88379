{# Whether this model follows a distributed table, which it then reads with `changed`. #}
{% macro reads_nodes() -%}
    {%- if not has_citus() -%}{{ return(false) }}{%- endif -%}
    {%- for name in config.get('meta')['follows'] if is_distributed(feed_name(name)) -%}
        {{ return(true) }}
    {%- endfor -%}
    {{ return(false) }}
{%- endmacro %}
