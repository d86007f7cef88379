{#
    SQL: take the lock of a name until the transaction ends. An advisory lock could be held by any
    role that may log in.
#}
{% macro lock_name(name) -%}
    insert into ops.locks (name) values ('quotemill:{{ name }}')
    on conflict (name) do update set name = excluded.name
{%- endmacro %}
