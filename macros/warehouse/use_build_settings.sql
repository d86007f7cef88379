{#
    Let the statements of this transaction take as long as tables are large: a limit of the role
    (statement_timeout) would end every build alike. And let the server not compile plans: of views
    on views that takes a minute, and the query itself a second.
#}
{% macro use_build_settings(for_session=false) -%}
    {%- do run_query("
        select set_config(
            name, case when name = 'jit' then 'off' else '0' end, " ~ (not for_session) | lower ~ "
        )
        from pg_settings where name in ('statement_timeout', 'transaction_timeout', 'jit')
    ") -%}
{%- endmacro %}
