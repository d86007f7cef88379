{#
    Create, once, what the models need besides tables: the exact product of numerics, and the
    functions that value options and read checks. One statement under a lock, so that two runs side
    by side do not race; where all exists it writes nothing.
#}
{% macro prepare_intermediate() -%}
    {%- set schema = inner_schema() -%}
    do $prepare$
    begin
        perform pg_advisory_xact_lock(hashtextextended('quotemill:prepare_intermediate', 0));
        -- even `if not exists` would need a privilege that the writer may lack
        if to_regnamespace('{{ schema }}') is null then
            create schema {{ schema }};
        end if;

        if to_regprocedure('{{ schema }}.nprod(numeric)') is null then
            create aggregate {{ schema }}.nprod(numeric) (
                sfunc = numeric_mul, stype = numeric, initcond = '1', parallel = safe
            );
        end if;

        -- functions of another text are replaced
        {% for function, text in [
            ('implied_deviation', create_option_functions(schema)),
            ('read_findings', create_reading_functions(schema)),
        ] -%}
        if not exists (
            select 1 from pg_proc as f
            inner join pg_namespace as n on f.pronamespace = n.oid
            where n.nspname = '{{ schema }}' and f.proname = '{{ function }}'
                and obj_description(f.oid, 'pg_proc') = '{{ local_md5(text) }}'
        ) then
            {{ text }}
            comment on function {{ schema }}.{{ function }} is '{{ local_md5(text) }}';
        end if;
        {% endfor %}
    end
    $prepare$
{%- endmacro %}
