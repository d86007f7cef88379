{%- set numbers = ['limit_percent', 'st_limit_percent', 'days_without_limit'] -%}
-- A line that breaks a rule says which, and has null for what cannot be read.
with cells as (
    {{ seed_lines('price_limits', [
        'board', 'valid_from', 'limit_percent', 'st_limit_percent', 'days_without_limit', 'source',
    ]) | indent(4) }}
),

typed as (
    select
        c.line,
        lower(c.board) as board,
        {{ read_day('c.valid_from') | indent(8) }} as valid_from,
        {% for name in numbers -%}
            {{ read_number('c.' ~ name) }} as {{ name }},
        {% endfor -%}
        c.source,
        to_jsonb(c) as written
    from cells as c
),

judged as (
    select
        *,
        case
            {{ unreadable_line('source') | indent(12) }}
            when board is null or board not in ('main', 'chinext', 'star', 'beijing')
                then array['board', 'must be main, chinext, star or beijing']
            when valid_from is null
                then array['valid_from', 'must be a day in the form 2023-04-10']
            {% for name in ['limit_percent', 'st_limit_percent'] -%}
                when
                    {{ name }} is null or {{ name }} <= 0 or {{ name }} > 100
                    or {{ name }} <> round({{ name }}, 2)
                    then array['{{ name }}', 'must be above 0, at most 100, with two decimals']
            {% endfor -%}
            when
                days_without_limit is null
                or days_without_limit not between 0 and 250
                or days_without_limit <> trunc(days_without_limit)
                then array['days_without_limit', 'must be a whole number from 0 to 250']
            when source is null
                then array['source', 'must not be empty']
        end as broken
    from typed
),

-- materialized: a reader that asks for each of its own rows judges the lines once
with_first as materialized (
    select
        *,
        min(line) over (partition by broken is null, board, valid_from) as first_line
    from judged
)

select
    line,
    board,
    valid_from,
    (case when broken is null then limit_percent end)::numeric(5, 2) as limit_percent,
    (case when broken is null then st_limit_percent end)::numeric(5, 2) as st_limit_percent,
    (case when broken is null then days_without_limit end)::integer as days_without_limit,
    source,
    {{ seed_line_verdict() }}
from with_first
