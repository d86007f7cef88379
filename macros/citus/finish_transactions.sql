{#
    Let the nodes of Citus commit what the coordinator has committed. Rows of a node that stopped
    between the two are not seen until Citus does so, once a minute: a build before that would take
    their changes from the feed, and not see the rows. A role without the privilege waits instead.
#}
{% macro finish_transactions() -%}
    {%- if has_citus() -%}
        {%- do run_query(
            "select recover_prepared_transactions() "
            ~ "where has_function_privilege('recover_prepared_transactions()', 'execute')"
        ) -%}
    {%- endif -%}
{%- endmacro %}
