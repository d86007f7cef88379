{#
    Refuse `dbt run --empty` and `dbt build --empty`: a table that follows others is made equal
    to its query, so that a query without rows would empty it.
#}
{% macro refuse_empty_build() -%}
    {%- if execute and flags.EMPTY and flags.WHICH in ('build', 'run') -%}
        {{ exceptions.raise_compiler_error(
            "--empty would delete the rows of the tables that exist. Run without it. To check the"
            ~ " models' SQL, run dbt compile or dbt test --select test_type:unit"
        ) }}
    {%- endif -%}
{%- endmacro %}
