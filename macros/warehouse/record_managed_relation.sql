{#
    Post-hook: record that this project built the relation (see refuse_foreign_relations). Of a
    build that lost its lock (see refuse_while_building) nothing is kept: another may have written
    newer rows since it read its own.
#}
{% macro record_managed_relation() -%}
    {%- if execute -%}
        {%- set own = env_var('QUOTEMILL_BUILD_LOCK_HELD', '') -%}
        {%- if own and not run_query(
            "select 1 from pg_locks where locktype = 'advisory' and pid = " ~ own | int
        ).rows -%}
            {{ exceptions.raise_compiler_error("The build lost its lock. Run it again") }}
        {%- endif -%}
    {%- endif -%}
    insert into ops.managed_relation (schema_name, relation_name)
    values ('{{ this.schema }}', '{{ this.identifier }}')
    on conflict (schema_name, relation_name) do nothing
{%- endmacro %}
