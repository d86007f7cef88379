{#
    What a node reads down to what is stored, by the lineage: through views, to `tables` (landed
    ones and models, by their names in meta.follows) and `seeds`. The settings are not among them:
    query_fingerprint has their values.
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
                ~ " of dbt's own, whose changes no feed has. Let it read tables that are followed"
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

{# Refuse a model that would miss the changes of a table: one that it reads and does not follow. #}
{% macro require_followed(tables, follows) -%}
    {%- set missing = tables | reject('in', follows) | sort -%}
    {%- if missing -%}
        {{ exceptions.raise_compiler_error(
            model.name ~ " reads " ~ missing | join(', ')
            ~ " and does not follow it. Add it to meta.follows with the reach of its changes"
        ) }}
    {%- endif -%}
{%- endmacro %}

{# A hash of the rows of these seeds: the feed does not hold seeds. #}
{% macro seed_hashes(seeds) -%}
    {%- set hashes = [] -%}
    {%- for seed in seeds -%}
        {%- do hashes.append(run_query(
            "select md5(coalesce(string_agg(s::text, ' ' order by s::text), '')) from "
            ~ graph.nodes[seed].relation_name ~ " as s"
        ).rows[0][0]) -%}
    {%- endfor -%}
    {{ return(hashes | join(' ')) }}
{%- endmacro %}
