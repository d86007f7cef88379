{#
    Let the reader role use the schemas that are for readers. Once at the start of a run: models run
    side by side, and two grants on one schema at once are an error in PostgreSQL.
#}
{% macro grant_schema_usage() -%}
    {%- set role = reader_role() -%}
    {%- if role -%}
        {%- for name in ['', 'options', 'futures', 'qa'] -%}
            {%- set schema = generate_schema_name(name) -%}
            {%- if adapter.check_schema_exists(target.database, schema) -%}
                grant usage on schema {{ adapter.quote(schema) }} to {{ role }};
            {% endif -%}
        {%- endfor -%}
    {%- elif execute -%}
        {%- set unknown = run_query(
            "select value from ops.settings where key = 'reader_role' and value <> ''"
        ) -%}
        {%- for row in unknown -%}
            {%- do exceptions.warn(
                "reader_role " ~ row['value'] ~ " does not exist: nothing is granted"
            ) -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}
