{#
    The rows of `relation` that a build has to read, for a model with meta.follows: write `from {{
    changed(ref('stg_tdx__kline_daily')) }}`, without an alias. `by` is the column of dates, or
    bar_end; or the column of the code, for all rows of the codes that changed.

    target/compiled has the relation itself: every row. Where only some codes and days changed, the
    materialization renders the model again (see changed_query), and here it reads those of the
    temporary table taken: target/run has that query.

    A row that depends on the days before it needs them too: `days_before` is how many. The model
    then ends with `where {{ within_taken('alias') }}`, and its reaches go on to the end (from_day,
    code), so that no day is read twice.
#}
{% macro changed(relation, by='trade_date', days_before=0) -%}
    {%- if model.reads_taken -%}
        ({{ taken_rows(relation, by, days_before, taken=model.reads_taken) }}) as changed
    {%- else -%}
        {{ relation }}
    {%- endif -%}
{%- endmacro %}

{# Whether the row is one of those that the build has to make: not read for days_before alone. #}
{% macro within_taken(row) -%}
    {%- if model.reads_taken -%}
        exists (
            select 1 from {{ model.reads_taken }} as t
            where
                t.code = {{ row }}.{{ entity() }}
                and {{ row }}.{{ feed_date() }} between t.first_date and t.last_date
        )
    {%- else -%}
        true
    {%- endif -%}
{%- endmacro %}

{# The model's query over what take_changes took, which is in the table `taken`. #}
{% macro changed_query(taken) -%}
    {%- do model.update(reads_taken=taken) -%}
    {%- set query = render(model.raw_code) -%}
    {%- do model.pop('reads_taken') -%}
    {{ return(query) }}
{%- endmacro %}

{#
    The rows of `relation` on the days taken, by an index on the code and the column `by`; bar_end
    by a range from the first midnight of the exchange to the last. The inner `offset 0` keeps the
    planner to one index scan for each code and span: it would read the whole history instead. The
    outer one lets it join these rows all at once: it may scan the joined table for each code
    instead.

    The first and last bar_end of all spans are literals too: only by literals does the planner
    leave out chunks and partitions (docs/decisions/0011).
#}
{% macro taken_rows(relation, by, days_before=0, taken='taken') -%}
    {%- if by == entity() -%}
        {{ return(
            'select k.* from ' ~ relation ~ ' as k
            where k.' ~ by ~ ' in (select t.code from ' ~ taken ~ ' as t)'
        ) }}
    {%- endif -%}
    {%- set first_date = 't.first_date - ' ~ days_before if days_before else 't.first_date' -%}
    {%- set spans = [[first_date, 't.last_date']] -%}
    {%- if by == 'bar_end' -%}
        {%- do spans.append(taken_span()) -%}
    {%- endif -%}
    select taken_row.*
    from {{ taken }} as t
    cross join lateral (
        select * from {{ relation }} as k
        where
            {{ 'k.' ~ entity() ~ ' = t.code' if entity() else 'true' }}
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
    {#- no node takes a part that is limited as a whole -#}
    {{ ' offset 0' if taken == 'taken' }}
{%- endmacro %}

{# The first and last day taken, as literals. #}
{% macro taken_span() -%}
    {%- set ends = run_query("
        select
            coalesce(min(first_date), 'infinity')::text,
            coalesce(max(last_date), '-infinity')::text
        from taken
    ").rows[0] -%}
    {{ return(["'" ~ ends[0] ~ "'::date", "'" ~ ends[1] ~ "'::date"]) }}
{%- endmacro %}
