{#
    The time as of which freshness and horizons are evaluated: now, unless the session sets another
    one with an offset: set quotemill.as_of = '2024-05-10 20:00+08'.
#}
{% macro as_of() -%}
    coalesce(nullif(current_setting('quotemill.as_of', true), '')::timestamptz, now())
{%- endmacro %}
