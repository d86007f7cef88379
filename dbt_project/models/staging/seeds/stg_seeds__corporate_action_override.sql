{%- set amounts = {
    'cash_per10_yuan': 1000000, 'bonus_total_per10': 10000, 'rights_per10': 10000,
    'rights_price_yuan': 1000000, 'split_ratio': 1000,
} -%}
-- A line that breaks a rule says which, and has null for what cannot be read.
with cells as (
    {{ seed_lines('corporate_action_overrides', [
        'code', 'ex_date', 'action', 'category', 'cash_per10_yuan', 'bonus_total_per10',
        'rights_per10', 'rights_price_yuan', 'split_ratio', 'reason',
    ]) | indent(4) }}
),

typed as (
    select
        c.line,
        {{ read_code('c.code') | indent(8) }} as code,
        {{ read_day('c.ex_date') | indent(8) }} as ex_date,
        lower(c.action) as action,
        case
            when c.category is null then 1
            when c.category ~ '^[0-9]{1,2}$' then c.category::integer
        end as category,
        {% for name in amounts -%}
            ({{ read_number('c.' ~ name) }})::numeric(24, 9) as {{ name }},
        {% endfor -%}
        c.reason,
        to_jsonb(c) as written
    from cells as c
),

judged as (
    select
        *,
        case
            {{ unreadable_line('reason') | indent(12) }}
            when code is null
                then array['code', 'must look like sh600000, SH600000 or 600000.SH']
            when ex_date is null
                then array['ex_date', 'must be a day in the form 2011-06-03']
            when ex_date < date '1990-12-19'
                then array['ex_date', 'no exchange traded before 1990-12-19']
            when action is null or action not in ('add', 'replace', 'remove')
                then array['action', 'must be add, replace or remove']
            when category is null or category not between 1 and 14
                then array['category', 'must be a whole number from 1 to 14, or empty for 1']
            {% for name, most in amounts.items() -%}
                when written ->> '{{ name }}' is not null and {{ name }} is null
                    then array['{{ name }}', 'must be a plain decimal number like 1.5']
                when {{ name }} < 0
                    then array['{{ name }}', 'must not be negative']
                when {{ name }} > {{ most }}
                    then array['{{ name }}', 'must be at most {{ most }}']
            {% endfor -%}
            when
                category <> 1
                and (
                    cash_per10_yuan <> 0 or bonus_total_per10 <> 0 or rights_per10 <> 0
                    or rights_price_yuan <> 0
                )
                then array['category', 'must be 1 in a line with amounts']
            when
                action <> 'remove'
                and case category
                    when 11 then coalesce(split_ratio, 0) = 0
                    else split_ratio is not null
                end
                then array['split_ratio', 'must be above 0 in category 11, else empty']
            when reason is null
                then array['reason', 'must not be empty']
        end as broken
    from typed
),

-- Rows of a day add up, so a line that is there twice would count twice. Materialized: a reader
-- that asks for each of its own rows judges the lines once.
with_first as materialized (
    select
        *,
        min(line) over (
            partition by
                broken is null, code, ex_date, action, category, {{ amounts.keys() | join(', ') }}
        ) as first_line
    from judged
)

select
    line,
    code,
    ex_date,
    action,
    category,
    {{ amounts.keys() | join(',\n    ') }},
    reason,
    {{ seed_line_verdict() }}
from with_first
