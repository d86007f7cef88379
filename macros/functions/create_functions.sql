{#
    At the start of a run: the functions that models call, in the schema of the intermediate models.
    Other commands make them where there are none: who only tests need not own them. The lock
    keeps runs side by side from replacing one function at once, which is an error.
#}
{% macro create_functions() -%}
    {%- set schema = inner_schema() -%}
    {%- if execute and (
        flags.WHICH in ('build', 'run')
        or run_query("select to_regproc('" ~ schema ~ ".nprod') is null").rows[0][0]
    ) %}
    {{ lock_name('create_functions') }};
    -- even `if not exists` would need a privilege that the writer may lack
    do $schema$
    begin
        if to_regnamespace('{{ schema }}') is null then
            create schema {{ schema }};
        end if;
    end
    $schema$;
    -- the exact product
    create or replace aggregate {{ schema }}.nprod(numeric) (
        sfunc = numeric_mul, stype = numeric, initcond = '1', parallel = safe
    );
    {{ option_functions() }}
    {{ reading_functions() }}
    {%- endif %}
{%- endmacro %}
