{#
    What this model has to read of what it follows: 'everything', 'nothing', or 'some', which is
    then in the temporary table taken, one row per code and span of days; without a code for a model
    of whole days (see entity).

    A change counts if the snapshot `seen` could not see it and the snapshot `now` can. How far it
    reaches is in meta.follows (see reached_days).
#}
{% macro take_changes(seen, now) -%}
    {%- if not seen -%}{{ return('everything') }}{%- endif -%}
    {%- set follows = config.get('meta')['follows'] -%}
    {%- set changes -%}
        with changes as (
            {% for name, reach in follows.items() -%}
            select
                '{{ name }}' as followed,
                {{ (reach == 'code') | lower }} as is_whole,
                c.key as code,
                days
            from ops.changes as c
            cross join unnest(c.dates) as days
            where
                {{ change_condition(name, seen, now) }}
            {{ 'union all' if not loop.last }}
            {% endfor %}
        )
    {%- endset -%}
    {%- set counts = run_query(
        changes ~ " select count(*) as changes, count(*) filter (where code = '') as every_code,
        count(*) filter (where code = '' and (is_whole or days = '(,)')) as everything
        from changes"
    ).rows[0] -%}
    {%- if counts['changes'] == 0 -%}{{ return('nothing') }}{%- endif -%}
    {%- if counts['everything'] > 0 -%}{{ return('everything') }}{%- endif -%}
    {%- do run_query("create temporary table taken on commit drop as " ~ changes ~ ",
        by_code as (
            select * from changes
            " ~ ("where code <> ''
            union all
            select c.followed, c.is_whole, k.code, c.days
            from changes as c cross join (" ~ every_code() ~ ") as k
            where c.code = ''" if counts['every_code'] and entity() else "") ~ "
        ),
        spans as (
            select
                " ~ ("code" if entity() else "''") ~ " as code,
                unnest(range_agg(" ~ reached_days(follows) ~ ")) as days
            from by_code as c
            group by 1
        )
        select
            code,
            coalesce(lower(days), '-infinity') as first_date,
            coalesce(upper(days) - 1, 'infinity') as last_date
        from spans"
    ) -%}
    {%- do run_query("analyze taken") -%}
    {{ return('some') }}
{%- endmacro %}

{#
    The days of code c.code that a change on the days c.days of the table c.followed may alter: by
    the reach in meta.follows `day`, those days, `from_day`, those and all after them, or `code`,
    the whole history; or by an expression of the model's own. In a model with meta.period all
    weeks or months that such days lie in.
#}
{% macro reached_days(follows) -%}
    {%- set reaches = {
        'day': 'c.days',
        'from_day': 'daterange(lower(c.days), null)',
        'code': "'(,)'::daterange",
    } -%}
    {%- set days -%}
        case c.followed
            {% for name, reach in follows.items() -%}
            when '{{ name }}' then {{ reaches[reach] if reach in reaches else render(reach) }}
            {% endfor -%}
        end
    {%- endset -%}
    {%- set period = config.get('meta').get('period') -%}
    {%- if not period -%}{{ return(days) }}{%- endif -%}
    (
        select daterange(
            date_trunc('{{ period }}', lower(r.days)::timestamp)::date,
            (
                date_trunc('{{ period }}', (upper(r.days) - 1)::timestamp)
                + interval '1 {{ period }}'
            )::date
        )
        from (values ({{ days }})) as r (days)
    )
{%- endmacro %}

{# The name in ops.changes of a landed table, which is its own, or of a model. #}
{% macro feed_name(name) -%}
    {%- if '.' in name -%}{{ return(name) }}{%- endif -%}
    {%- set node = graph.nodes['model.' ~ project_name ~ '.' ~ name] -%}
    {{ return(node.schema ~ '.' ~ node.alias) }}
{%- endmacro %}

{#
    Every code of this table and of those that it follows. Not of what the query reads: a view over
    windows would be computed once for each code.
#}
{% macro every_code() -%}
    {%- set tables = [this.schema ~ '.' ~ this.identifier] -%}
    {%- for followed in config.get('meta')['follows'] -%}
        {%- do tables.append(feed_name(followed)) -%}
    {%- endfor -%}
    {%- set present = run_query("
        select
            t.name,
            exists (
                select 1 from pg_index as i
                where
                    i.indrelid = a.attrelid and i.indkey[0] = a.attnum
                    and i.indisvalid and i.indpred is null
            ) as is_indexed
        from unnest('{" ~ tables | unique | join(',') ~ "}'::text[]) as t (name)
        inner join pg_attribute as a
            on
                a.attrelid = to_regclass(t.name)
                and a.attname = '" ~ entity() ~ "'
                and not a.attisdropped
    ").rows -%}
    {%- set codes_of = by_edition('codes_of') -%}
    {%- for table, is_indexed in present -%}
    ({{ codes_of(table, is_indexed) }})
    {{ 'union' if not loop.last }}
    {% endfor -%}
{%- endmacro %}

{# By steps through an index that begins with the code: `distinct` would read every row. #}
{% macro default__codes_of(table, is_indexed) -%}
    {%- set name = entity() -%}
    {%- if not is_indexed -%}
    select distinct {{ name }} as code from {{ table }}
    {%- else -%}
    with recursive codes as (
        (select {{ name }} as code from {{ table }} order by {{ name }} limit 1)
        union all
        select (
            select r.{{ name }} from {{ table }} as r
            where r.{{ name }} > l.code order by r.{{ name }} limit 1
        )
        from codes as l
        where l.code is not null
    )

    select code from codes where code is not null
    {%- endif -%}
{%- endmacro %}
