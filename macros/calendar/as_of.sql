{#
    The instant that freshness and horizons are judged at: now, unless the session sets another:
    set quotemill.as_of = '2024-05-10 20:00+08'. Give it an offset.
#}
{% macro as_of() -%}
    coalesce(nullif(current_setting('quotemill.as_of', true), '')::timestamptz, now())
{%- endmacro %}
