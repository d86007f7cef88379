{#
    The join of the rows k of a table on the days d. OFFSET keeps the planner to one index scan per
    day; else it may read the whole history. Citus takes no such part of a query.
#}
{% macro joined_by_day(relation) -%}
    {%- if has_citus() -%}
    inner join {{ relation }} as k on d.trade_date = k.trade_date
    {%- else -%}
    inner join lateral (
        select b.* from {{ relation }} as b
        where b.trade_date = d.trade_date
        order by b.code
        offset 0
    ) as k on true
    {%- endif -%}
{%- endmacro %}
