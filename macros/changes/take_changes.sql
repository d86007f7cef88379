{#
    What this model has to read of what it follows: 'everything', 'nothing', or 'some', which is
    then in the temporary table taken, one row per code and span of days; without a code for a model
    of whole days (see entity).

    meta.follows names tables and how far a change in each reaches (see reached_days). A change
    counts if the snapshot `seen` could not see it and the snapshot `now` can.
#}
{% macro take_changes(seen, now) -%}
    {%- if not seen -%}{{ return('everything') }}{%- endif -%}
    {%- set changes -%}
        with changes as (
            {% for name, reach in config.get('meta')['follows'].items() -%}
            select
                c.key as code,
                '{{ reach }}' as reach,
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
        count(*) filter (where code = '' and (reach = 'code' or days = '(,)')) as everything
        from changes"
    ).rows[0] -%}
    {%- if counts['changes'] == 0 -%}{{ return('nothing') }}{%- endif -%}
    {%- if counts['everything'] > 0 -%}{{ return('everything') }}{%- endif -%}
    {%- do run_query("create temporary table taken on commit drop as " ~ changes ~ ",
        by_code as (
            select * from changes
            " ~ ("where code <> ''
            union all
            select k.code, c.reach, c.days
            from changes as c cross join (" ~ every_code() ~ ") as k
            where c.code = ''" if counts['every_code'] and entity() else "") ~ "
        ),
        spans as (
            select
                " ~ ("code" if entity() else "''") ~ " as code,
                unnest(range_agg(" ~ reached_days() ~ ")) as days
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

{# The name in ops.changes of a landed table, which is its own, or of a model. #}
{% macro feed_name(name) -%}
    {%- if '.' in name -%}{{ return(name) }}{%- endif -%}
    {%- set node = graph.nodes['model.' ~ project_name ~ '.' ~ name] -%}
    {{ return(node.schema ~ '.' ~ node.alias) }}
{%- endmacro %}

{#
    Every code of this table and of those that it follows, by steps through an index that begins
    with the code where there is one: `distinct` would read every row. Not of what the query reads:
    a view over windows would be computed once for each code.
#}
{% macro every_code() -%}
    {%- set name = entity() -%}
    {%- set tables = [this.schema ~ '.' ~ this.identifier] -%}
    {%- for followed in config.get('meta')['follows'] -%}
        {%- do tables.append(feed_name(followed)) -%}
    {%- endfor -%}
    {%- set found = run_query("
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
                and a.attname = '" ~ name ~ "'
                and not a.attisdropped
    ").rows -%}
    {%- for table, is_indexed in found -%}
    {% if is_distributed(table) -%}
    (select code from {{ distributed_codes() }})
    {%- elif is_indexed -%}
    (
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
    )
    {%- else -%}
    (select distinct {{ name }} as code from {{ table }})
    {%- endif %}
    {{ 'union' if not loop.last }}
    {% endfor -%}
{%- endmacro %}
