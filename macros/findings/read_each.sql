{#
    A union of relations whose failures stay apart, for `kind` findings or freshness: one that
    cannot be read costs the rows of no other (see reading_functions). The relations are read
    by name, so that the union stands without them too. A finding says which one it is from.

    A model qa_… that is not among them, and that none of them reads, is read after them.
#}
{% macro read_each(kind, relations) -%}
    {%- if execute and kind == 'findings' -%}
        {%- do relations.extend(unlisted_checks()) -%}
    {%- endif -%}
    {%- for relation in relations -%}
        select *{{ ", '" ~ relation.identifier ~ "' as model" if kind == 'findings' }}
        from {{ inner_schema() }}.read_{{ kind }}('{{ relation.include(database=false) }}')
        {{- '\nunion all\n' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}

{# The relations of the models qa_… that findings does not depend on, also through others. #}
{% macro unlisted_checks() -%}
    {%- set read = model.depends_on.nodes | list -%}
    {%- for name in read -%} {#- grows in the loop -#}
        {%- for below in graph.nodes.get(name, {}).get('depends_on', {}).get('nodes', ()) -%}
            {%- if below not in read -%}{%- do read.append(below) -%}{%- endif -%}
        {%- endfor -%}
    {%- endfor -%}
    {%- set unlisted = [] -%}
    {%- for node in graph.nodes.values() | rejectattr('unique_id', 'in', read)
        | selectattr('resource_type', 'equalto', 'model') | sort(attribute='name')
        if node.name.startswith('qa_')
        and (not node.columns or 'check_name' in node.columns) -%} {#- described as a check -#}
        {%- do unlisted.append(
            api.Relation.create(schema=node.schema, identifier=node.alias)
        ) -%}
    {%- endfor -%}
    {{ return(unlisted) }}
{%- endmacro %}
