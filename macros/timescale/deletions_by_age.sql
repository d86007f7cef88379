{#
    The statements that delete whole days older than meta.hypertable.retain from plain tables, by the index
    by date; none where no day is so old, or where a model is behind on the table (see behind_on). As where
    chunks are dropped, the change feed is told nothing.
#}
{% macro deletions_by_age(wanted) -%}
    {%- set statements = [] -%}
    {%- for table in wanted if table.get('retain') and run_query(
        "select to_regclass('" ~ table['relation'] ~ "')"
    ).rows[0][0] -%}
        {%- set until = first_day_retained(table['retain']) -%}
        {%- set old = table['relation'] ~ " where " ~ table['day'] ~ " < '" ~ until ~ " 00:00+00'" -%}
        {%- if run_query("select 1 from " ~ old ~ " limit 1").rows and not behind_on(table['relation']) -%}
            {%- do statements.append("delete from " ~ old) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(statements) }}
{%- endmacro %}

{# The day, as a text, before which days are so old that they go. #}
{% macro first_day_retained(retain) -%}
    {{ return(run_query(
        "select (now() at time zone 'UTC' - interval '" ~ retain ~ "')::date::text"
    ).rows[0][0]) }}
{%- endmacro %}
