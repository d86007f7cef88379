{#
    For meta.follows of a model that reads quotes and their contracts: the tables of these and those
    in `others`, each with the reach of its changes.
#}
{% macro tables_of_quotes(others) -%}
    {%- set tables = {
        'raw_ib.chain_snapshot': 'day',
        'raw_ib.chain_close': 'day',
        'raw_ib.session': '{{ sessions_beside() }}',
        'raw_ib.contract': 'from_day',
        'raw_ib.former_contract': 'code',
        'raw_ib.underlying': 'code',
    } -%}
    {%- do tables.update(others) -%}
    {{ return(tables) }}
{%- endmacro %}

{# For meta.keeps: the slots of the row's day are no longer in the warehouse. #}
{% macro slots_are_deleted() -%}
    {{ return("not exists (
        select 1 from raw_ib.chain_snapshot as k
        where k.symbol = stored.symbol and k.trade_date = stored.trade_date
    )") }}
{%- endmacro %}

{# For meta.follows: the days c.days of sessions, and the sessions of NYSE before and after them. #}
{% macro sessions_beside() -%}
    {#- not by ref(): the model may read it through views alone -#}
    {%- set sessions = graph.nodes['model.' ~ project_name ~ '.stg_ib__session'].relation_name -%}
    daterange(
        coalesce(
            (
                select max(s.trade_date) from {{ sessions }} as s
                where s.trade_date < lower(c.days)
            ),
            lower(c.days)
        ),
        coalesce(
            (
                select min(s.trade_date) + 1 from {{ sessions }} as s
                where s.trade_date >= upper(c.days)
            ),
            upper(c.days)
        )
    )
{%- endmacro %}
