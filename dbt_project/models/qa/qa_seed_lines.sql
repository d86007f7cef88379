with lines as (
    {% for seed, model in [
        ('corporate_action_overrides', ref('stg_seeds__corporate_action_override')),
        ('us_corporate_actions', ref('stg_seeds__us_corporate_action')),
    ] -%}
        select
            'seeds/{{ seed }}.csv' as file,
            line,
            field,
            rule,
            written_value
        from {{ model }}
        where rule is not null
        {{ 'union all' if not loop.last }}
    {% endfor %}
)

select
    'seed_line' as check_name,
    'error' as severity,
    format('%s line %s', file, line) as subject,
    null::date as trade_date,
    case
        when field = 'line' then rule
        else format('%s = %s breaks the rule: %s', field, coalesce(written_value, 'empty'), rule)
    end
    || case
        when field = 'header' then '. No line of the file counts'
        else '. This line does not count, the others do'
    end
    || format('; fix: correct line %s of %s, then quotemill build', line, file) as evidence
from lines
