{# Refuse to write into a warehouse that a newer version used, as `quotemill build` does. #}
{% macro refuse_newer_warehouse() -%}
    {%- if execute and flags.WHICH in ('build', 'run', 'seed', 'snapshot', 'clone', 'retry') -%}
        {%- set later = run_query("
            select name from ops.schema_migrations
            where name > '" ~ newest_migration() ~ "'
            order by name
        ") -%}
        {%- if later -%}
            {{ exceptions.raise_compiler_error(
                "The warehouse was used by a newer quotemill: it has "
                ~ later.columns['name'].values() | join(', ')
                ~ ". Install that version of quotemill, or a newer one."
            ) }}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}
