{#
    A view that is replaced in place, so that what reads it stays: dbt's `view` swaps in a new one
    and drops the old one with every view on it, a user's too. One whose query is the same is left
    alone, as replacing it would wait for its readers; one whose columns no longer fit is dropped
    (see drop_unfit_relation).
#}
{% materialization replaced_view, adapter='postgres' -%}
    {%- set existing = load_cached_relation(this) -%}
    {%- set target_relation = this.incorporate(type='view') -%}

    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}

    {#- dbt compares a contract's types without their precision -#}
    {%- set typed = as_contracted(sql) if config.get('contract').enforced else sql -%}
    {%- set change = 'query' -%}
    {%- if existing is not none -%}
        {%- if existing.is_view -%}
            {#- 'other columns' are those that `create or replace` would refuse -#}
            {%- do run_query("create temporary view quotemill_probe as (" ~ typed ~ ")") -%}
            {%- set change = run_query("
                select case
                    when pg_get_viewdef('" ~ existing ~ "'::regclass)
                        = pg_get_viewdef('pg_temp.quotemill_probe'::regclass)
                        then 'none'
                    when exists (
                        select attnum, attname, atttypid, atttypmod from pg_attribute
                        where attrelid = '" ~ existing ~ "'::regclass and attnum > 0
                        except
                        select attnum, attname, atttypid, atttypmod from pg_attribute
                        where attrelid = 'pg_temp.quotemill_probe'::regclass
                    ) then 'other columns'
                    else 'query'
                end
            ").rows[0][0] -%}
            {%- do run_query("drop view quotemill_probe") -%}
        {%- else -%}
            {%- set change = 'it is a ' ~ existing.type -%}
        {%- endif -%}
        {%- if change not in ('none', 'query') -%}
            {%- do drop_unfit_relation(existing, change) -%}
        {%- endif -%}
    {%- endif -%}
    {% call statement('main') -%}
        {%- if change == 'none' -%}
            select 1 where false
        {%- else -%}
            {%- if config.get('contract').enforced -%}
                {{ get_assert_columns_equivalent(sql) }}
            {%- endif -%}
            create or replace view {{ target_relation }} as ({{ typed }})
        {%- endif -%}
    {%- endcall %}

    {{ return(finish_relation(target_relation)) }}
{%- endmaterialization %}
