{#
    What a node reads down to what is stored, by the lineage: through views, to `tables` (landed
    ones and models, by their names in meta.follows) and `seeds`. The settings are not among them:
    change_cursor has their values.
#}
{% macro stored_below(unique_id) -%}
    {%- set stored = {'tables': [], 'seeds': []} -%}
    {%- for name in graph.nodes[unique_id].depends_on.nodes -%}
        {%- set source = graph.sources.get(name) -%}
        {%- set node = graph.nodes.get(name) -%}
        {%- if source -%}
            {%- do stored['tables'].append(source.schema ~ '.' ~ source.identifier) -%}
        {%- elif node.resource_type == 'seed' -%}
            {%- do stored['seeds'].append(name) -%}
        {%- elif node.config.materialized in ('followed', 'continuous_aggregate') -%}
            {%- do stored['tables'].append(node.name) -%}
        {%- elif node.config.materialized in ('table', 'incremental') -%}
            {{ exceptions.raise_compiler_error(
                model.name ~ " reads " ~ node.name ~ ", a " ~ node.config.materialized
                ~ " of dbt's own, whose changes are not tracked. Read tables that are followed"
            ) }}
        {%- else -%}
            {%- set below = stored_below(name) -%}
            {%- do stored['tables'].extend(below['tables']) -%}
            {%- do stored['seeds'].extend(below['seeds']) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return({
        'tables': stored['tables'] | reject('equalto', 'ops.settings') | unique | list,
        'seeds': stored['seeds'] | unique | list,
    }) }}
{%- endmacro %}
