-- A line that breaks a rule says which, and has null for what cannot be read.
with cells as (
    {{ seed_lines('us_corporate_actions', [
        'symbol', 'ex_date', 'type', 'ratio_num', 'ratio_den', 'source',
    ]) | indent(4) }}
),

typed as (
    select
        c.line,
        translate(upper(c.symbol), '._', '  ') as symbol,
        {{ read_day('c.ex_date') | indent(8) }} as ex_date,
        lower(c.type) as type,
        {{ read_number('c.ratio_num') }} as ratio_num,
        {{ read_number('c.ratio_den') }} as ratio_den,
        c.source,
        to_jsonb(c) as written
    from cells as c
),

judged as (
    select
        *,
        case
            {{ unreadable_line('source') | indent(12) }}
            when symbol is null or symbol !~ '^[A-Z][A-Z0-9]{0,9}([ .][A-Z])?$'
                then array['symbol', 'must look like AAPL or BRK B']
            when ex_date is null
                then array['ex_date', 'must be a day in the form 2011-06-03']
            when
                type is null
                or type not in (
                    'split', 'reverse_split', 'stock_dividend', 'special_dividend', 'spin_off',
                    'merger'
                )
                then array[
                    'type',
                    'must be split, reverse_split, stock_dividend, special_dividend, spin_off or'
                    || ' merger'
                ]
            {% for name, other in [('ratio_num', 'ratio_den'), ('ratio_den', 'ratio_num')] -%}
                when
                    written ->> '{{ name }}' is not null
                    and ({{ name }} is null or {{ name }} <= 0 or {{ name }} > 1000000)
                    then array['{{ name }}', 'must be a number above 0, at most 1000000']
                when
                    {{ name }} is null
                    and (
                        {{ other }} is not null
                        or type in ('split', 'reverse_split', 'stock_dividend')
                    )
                    then array['{{ name }}', 'must not be empty in an exchange of shares']
            {% endfor -%}
        end as broken
    from typed
),

-- materialized: a reader that asks for each of its own rows judges the lines once
with_first as materialized (
    select
        *,
        min(line) over (partition by broken is null, symbol, ex_date, type) as first_line
    from judged
)

select
    line,
    symbol,
    ex_date,
    type,
    ratio_num,
    ratio_den,
    source,
    {{ seed_line_verdict() }}
from with_first
