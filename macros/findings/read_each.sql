{#
    A union of relations whose failures stay apart, for `kind` findings or freshness: one that
    cannot be read costs the rows of no other (see reading_functions). The relations are read
    by name, so that the union stands without them too. A finding says which one it is from.
#}
{% macro read_each(kind, relations) -%}
    {%- for relation in relations -%}
        select *{{ ", '" ~ relation.identifier ~ "' as model" if kind == 'findings' }}
        from {{ inner_schema() }}.read_{{ kind }}('{{ relation.include(database=false) }}')
        {{- '\nunion all\n' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}
