{#
    dbt's own, but only where a comment differs: dbt asks for the columns twice and writes every
    comment at each build, a dead row of pg_description each.
#}
{% macro postgres__persist_docs(relation, model, for_relation, for_columns) -%}
    {%- set wanted = [] -%}
    {%- if for_relation and config.persist_relation_docs() and model.description -%}
        {%- do wanted.append("(null, '" ~ model.description | replace("'", "''") ~ "')") -%}
    {%- endif -%}
    {%- if for_columns and config.persist_column_docs() -%}
        {%- for name, column in model.columns.items() -%}
            {%- do wanted.append(
                "('" ~ name ~ "', '" ~ column.description | replace("'", "''") ~ "')"
            ) -%}
        {%- endfor -%}
    {%- endif -%}
    {%- if wanted and run_query("
        select 1
        from (values " ~ wanted | join(', ') ~ ") as w (name, description)
        left join pg_attribute as a
            on a.attrelid = '" ~ relation ~ "'::regclass
            and not a.attisdropped
            and w.name = a.attname
        left join pg_description as d
            on d.objoid = '" ~ relation ~ "'::regclass
            and d.classoid = 'pg_class'::regclass
            and d.objsubid = coalesce(a.attnum, 0)
        where (w.name is not null and a.attname is null)
            or w.description <> coalesce(d.description, '')
        limit 1
    ").rows -%}
        {%- do default__persist_docs(relation, model, for_relation, for_columns) -%}
    {%- endif -%}
{%- endmacro %}
