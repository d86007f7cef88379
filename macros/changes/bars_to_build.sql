{#
    The bars of `relation` that this build has to look at: all of them the first time, afterwards only
    those in the taken changes, found in the index by the column `by`. `offset 0` keeps the planner to
    one index look-up per code; it knows nothing of the queue's size and would rather read the whole
    history.
#}
{% macro bars_to_build(relation, by='trade_date') -%}
    {%- if is_incremental() -%}
    select bar.*
    from ({{ taken_changes() }}) as t
    cross join lateral (
        select * from {{ relation }} as k
        where k.code = t.code and {{ within_change('k', by) }}
        offset 0
    ) as bar
    {%- else -%}
    select * from {{ relation }}
    {%- endif -%}
{%- endmacro %}
