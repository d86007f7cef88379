{# Drop columns, with the views that read them: see drop_unfit_relation. #}
{% macro drop_columns(existing, names) -%}
    {%- set readers = readers_of(existing, names) -%}
    {%- do refuse_other_readers(
        readers, existing.schema ~ '.' ~ existing.identifier ~ " loses " ~ names | join(', ')
    ) -%}
    {%- for reader in readers -%}
        {%- set schema, identifier = reader.split('.') -%}
        {%- set view = adapter.get_relation(existing.database, schema, identifier) -%}
        {%- if view -%}{%- do adapter.drop_relation(view) -%}{%- endif -%}
    {%- endfor -%}
    {%- do run_query(
        "alter table " ~ existing ~ " drop column " ~ names | join(' cascade, drop column ')
        ~ " cascade"
    ) -%}
{%- endmacro %}
