{#
    At the start of a run: the functions that models call, in the schema of the intermediate models.
    The lock keeps runs side by side from replacing one function at once, which is an error.
#}
{% macro create_functions() -%}
    {%- set schema = inner_schema() -%}
    select pg_advisory_xact_lock(hashtextextended('quotemill:create_functions', 0));
    -- even `if not exists` would need a privilege that the writer may lack
    {% if execute and not adapter.check_schema_exists(target.database, schema) -%}
        create schema {{ schema }};
    {%- endif %}
    -- the exact product
    create or replace aggregate {{ schema }}.nprod(numeric) (
        sfunc = numeric_mul, stype = numeric, initcond = '1', parallel = safe
    );
    {{ option_functions() }}
    {{ american_functions() }}
    {{ reading_functions() }}
{%- endmacro %}
