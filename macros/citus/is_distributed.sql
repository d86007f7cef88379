{# Whether Citus has spread a table, named with its schema, over nodes. #}
{% macro is_distributed(table) -%}
    {{ return(run_query(
        "select 1 from pg_dist_partition where logicalrelid = to_regclass('" ~ table ~ "')"
    ).rows | length > 0) }}
{%- endmacro %}

{#
    Spread an empty table over the nodes by code, in the colocation group of all: the rows of
    a code are on one node in every table. loaders/warehouse/distribution.py does the same.
#}
{% macro distribute_table(table) -%}
    {%- do run_query(
        "select create_distributed_table('" ~ table ~ "', 'code', colocate_with => '"
        ~ distributed_codes() ~ "')"
    ) -%}
{%- endmacro %}

{# The table of every code that a distributed table has had, itself distributed. #}
{% macro distributed_codes() -%} ops.distributed_code {%- endmacro %}

{% macro citus__codes_of(table, is_indexed) -%}
    {%- if not is_distributed(table) -%}
        {{ return(default__codes_of(table, is_indexed)) }}
    {%- endif -%}
    select code from {{ distributed_codes() }}
{%- endmacro %}

{% macro citus__oldest_day(table, time) -%}
    {%- if not is_distributed(table) -%}{{ return(default__oldest_day(table, time)) }}{%- endif -%}
    {{ return(run_query("
        select min(f.trade_date)
        from " ~ distributed_codes() ~ " as k
        cross join lateral (
            select t.trade_date from " ~ table ~ " as t
            where t.code = k.code order by t.code, t." ~ time ~ " limit 1
        ) as f
    ").rows[0][0]) }}
{%- endmacro %}

{# As default__joined_by_day: Citus takes no part of a query with OFFSET. #}
{% macro citus__joined_by_day(relation) -%}
    inner join {{ relation }} as k on d.trade_date = k.trade_date
{%- endmacro %}

{# As default__joined_by_code: such a join goes to the nodes as it is. #}
{% macro citus__joined_by_code(relation, condition) -%}
    inner join {{ relation }} as k on s.code = k.code and {{ condition }}
{%- endmacro %}

{#
    As default__not_stored_row, of minutes and ticks: these may be on other nodes, and no node takes
    a row of another relation with them.
#}
{% macro citus__not_stored_row(dataset, relation, is_same) -%}
    {%- if dataset not in ('tick_trade', 'minute_1m') -%}
        {{ return(default__not_stored_row(dataset, relation, is_same)) }}
    {%- endif -%}
    not (
        r.dataset = '{{ dataset }}'
        and r.row_key in (
            select r.row_key from {{ ref('stg_tdx__rejected_row') }} as r
            inner join {{ relation }} as k on r.dataset = '{{ dataset }}' and {{ is_same }}
        )
    )
{%- endmacro %}
