{# The end of a materialization that is one transaction; returns its result. #}
{% macro finish_relation(target_relation) -%}
    {#- revoking would take those of the reader roles, which no configuration names -#}
    {%- do apply_grants(target_relation, config.get('grants'), should_revoke=false) -%}
    {%- do persist_docs(target_relation, model) -%}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {{ adapter.commit() }}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({'relations': [target_relation]}) }}
{%- endmacro %}
