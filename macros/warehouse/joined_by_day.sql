{#
    The join of the rows k of a table on the days d. OFFSET keeps the planner to one index scan per
    day; else it may read the whole history.
#}
{% macro joined_by_day(relation) -%}
    {{ by_edition('joined_by_day')(relation) }}
{%- endmacro %}

{% macro default__joined_by_day(relation) -%}
    inner join lateral (
        select b.* from {{ relation }} as b
        where b.trade_date = d.trade_date
        order by b.code
        offset 0
    ) as k on true
{%- endmacro %}
