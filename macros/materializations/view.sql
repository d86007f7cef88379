{#
    A view that is replaced in place.

    dbt's own materialization swaps in a new view and drops the old one with everything that reads
    it: a user's view on ours would vanish, and ours would be missing during a build. Here an
    unchanged view is left alone, a changed one is replaced, and one whose columns no longer fit is
    dropped (see drop_unfit_relation).
#}
{% materialization view, adapter='postgres' -%}
    {%- set existing = load_cached_relation(this) -%}
    {%- set target_relation = this.incorporate(type='view') -%}

    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}

    {%- set change = 'columns' -%}
    {%- if existing is not none and existing.is_view -%}
        {%- set recorded = is_recorded_view(existing, sql) -%}
        {%- set change = 'recorded' if recorded else view_change(existing, sql) -%}
    {%- endif -%}
    {%- if existing is not none and change == 'columns' -%}
        {%- set why = 'other columns' if existing.is_view else 'it is a ' ~ existing.type -%}
        {%- do drop_unfit_relation(existing, why) -%}
    {%- endif -%}
    {% call statement('main') -%}
        {%- if change in ('recorded', 'none') -%}
            select 1 where false
        {%- else -%}
            {%- if config.get('contract').enforced -%}
                {{ get_assert_columns_equivalent(sql) }}
            {%- endif -%}
            create or replace view {{ target_relation }} as ({{ sql }})
        {%- endif -%}
    {%- endcall %}
    {%- if change != 'recorded' -%}
        {%- do record_view(target_relation, sql) -%}
    {%- endif -%}

    {{ return(finish_relation(target_relation)) }}
{%- endmaterialization %}
