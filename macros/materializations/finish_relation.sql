{# The end of a materialization that is one transaction; returns its result. #}
{% macro finish_relation(target_relation) -%}
    {%- do grant_and_describe(target_relation) -%}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {{ adapter.commit() }}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({'relations': [target_relation]}) }}
{%- endmacro %}

{# What every materialization of ours does to its relation once it is there. #}
{% macro grant_and_describe(target_relation) -%}
    {#- revoking would take the grants of the reader roles, which no configuration names -#}
    {%- do apply_grants(target_relation, config.get('grants'), should_revoke=false) -%}
    {%- do persist_docs(target_relation, model) -%}
{%- endmacro %}
