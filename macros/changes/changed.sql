{#
    The rows of `relation` that a build has to look at, for a model that follows changes (see docs block
    change_feed). As it stands it is all of them; where only some codes and days changed, the
    materialization puts only_changed in its place. `by` is the date column, or bar_end; or the column of
    the code, for all rows of the codes.
#}
{% macro changed(relation, by='trade_date') -%}
    {{ relation }} /* changed by {{ by }} */
{%- endmacro %}

{# What the macro `changed` left in the text of a query: pairs of relation and column. #}
{% macro changed_relations(sql) -%}
    {{ return(modules.re.findall('((?:\"[^\"]*\"|[^\\s\"])+) /\\* changed by (\\w+) \\*/', sql)) }}
{%- endmacro %}

{# The query `sql` over what was taken alone (see take_changes). #}
{% macro only_changed(sql) -%}
    {%- set query = namespace(sql=sql) -%}
    {%- for relation, by in changed_relations(sql) -%}
        {%- set query.sql = query.sql.replace(
            relation ~ ' /* changed by ' ~ by ~ ' */', '(' ~ taken_rows(relation, by) ~ ') as changed'
        ) -%}
    {%- endfor -%}
    {{ return(query.sql) }}
{%- endmacro %}

{#
    The rows of `relation` on the days taken, found in the index by the column `by`: bar_end by a range
    of the key, from the first midnight of the exchange to the last. The inner `offset 0` keeps the planner
    to one look-up for each code and span; else it would rather read the whole history. The outer one has it
    join these rows all at once; else it may read a table that they are joined with for each code.

    The first and the last bar_end of all are said as literals too: only by those the planner leaves out
    chunks and partitions, else each look-up tries every one (docs/decisions/0011).
#}
{% macro taken_rows(relation, by) -%}
    {%- if by == entity() -%}
        {{ return('select k.* from ' ~ relation ~ ' as k where k.' ~ by ~ ' in (select t.code from taken as t)') }}
    {%- endif -%}
    {%- set spans = [['t.first_date', 't.last_date']] -%}
    {%- if by == 'bar_end' -%}
        {%- set ends = run_query("
            select
                coalesce(min(first_date), 'infinity')::text,
                coalesce(max(last_date), '-infinity')::text
            from taken
        ").rows[0] -%}
        {%- do spans.append(["'" ~ ends[0] ~ "'::date", "'" ~ ends[1] ~ "'::date"]) -%}
    {%- endif -%}
    select taken_row.*
    from taken as t
    cross join lateral (
        select * from {{ relation }} as k
        where
            k.{{ entity() }} = t.code
            {%- for first_date, last_date in spans %}
            {% if by == 'bar_end' -%}
            and k.bar_end > {{ first_date }}::timestamp at time zone 'Asia/Shanghai'
            and k.bar_end <= ({{ last_date }} + 1)::timestamp at time zone 'Asia/Shanghai'
            {%- else -%}
            and k.{{ by }} between {{ first_date }} and {{ last_date }}
            {%- endif %}
            {%- endfor %}
        offset 0
    ) as taken_row
    offset 0
{%- endmacro %}
