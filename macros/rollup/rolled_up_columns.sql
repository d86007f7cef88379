{#
    The columns of a longer bar, aggregated from the bars in it; `bar_count` counts their minutes.
    `expressions` replaces columns that do not exist yet: those of a continuous aggregate. Where no
    table gives the columns their types, `cast` does: of views and of continuous aggregates.

    A minute known only by its price is one price: the bar uses it and is marked. A turnover that
    lacks a part is null. First and last share one order, that of the key: the planner then sorts
    code by code as it reads, in little memory.
#}
{% macro rolled_up_columns(bar_count, expressions={}, cast=false) -%}
    {%- set price = '::numeric(18, 3)' if cast else '' -%}
    {%- set amount_cny = expressions.get('amount_cny', 'amount_cny') -%}
    {%- set is_price_only = expressions.get('is_price_only', 'is_price_only') -%}
    (array_agg({{ expressions.get('open', 'open') }} order by bar_end))[1]{{ price }} as open,
        max({{ expressions.get('high', 'high') }}){{ price }} as high,
        min({{ expressions.get('low', 'low') }}){{ price }} as low,
        (array_agg({{ expressions.get('close', 'close') }} order by bar_end))[count(*)]{{ price }}
            as close,
        sum({{ expressions.get('volume_shares', 'volume_shares') }})::bigint as volume_shares,
        case
            when count({{ amount_cny }}) = count(*) then sum({{ amount_cny }})::numeric(20, 3)
        end{{ '::numeric(20, 3)' if cast else '' }} as amount_cny,
        {{ bar_count }}::integer as bar_count,
        bool_or({{ is_price_only }}) as is_price_only,
        bool_and(is_final and not ({{ is_price_only }})) as is_final,
        max({{ expressions.get('source_minutes', 'source_minutes') }})::smallint as source_minutes
{%- endmacro %}
