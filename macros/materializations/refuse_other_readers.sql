{# Stop, unless this run builds each of the readers again, or an earlier version had it. #}
{% macro refuse_other_readers(readers, reason) -%}
    {%- set built = run_query(
        "select schema_name || '.' || relation_name from ops.managed_relation
        where relation_name in ('" ~ removed_models() | join("', '") ~ "')"
    ).columns[0].values() | list -%}
    {%- for node in graph.nodes.values() if node.unique_id in selected_resources -%}
        {%- do built.append(node.schema ~ '.' ~ node.alias) -%}
    {%- endfor -%}
    {%- if not should_full_refresh() and readers | reject('in', built) | list -%}
        {{ exceptions.raise_compiler_error(
            reason ~ ": dbt build --full-refresh --select " ~ this.identifier
            ~ "+ drops it, and with it " ~ readers | join(', ')
            ~ ". First save everything that is not a model of this project."
        ) }}
    {%- endif -%}
{%- endmacro %}
