with lines as (
    {% for seed, model in [
        ('corporate_action_overrides', ref('stg_seeds__corporate_action_override')),
        ('us_corporate_actions', ref('stg_seeds__us_corporate_action')),
        ('code_changes_known', ref('stg_seeds__code_change')),
        ('price_limits', ref('stg_seeds__price_limit')),
    ] -%}
        select
            'seeds/{{ seed }}.csv' as file,
            case when field = 'header' then 1 else line end as line,
            field,
            rule,
            written_value
        from {{ model }}
        where rule is not null
        {{ 'union all' if not loop.last }}
    {% endfor %}
),

-- the loaders read two files, and write into settings what is wrong with them
mistakes as (
    select regexp_split_to_table(value, '\n') as mistake
    from {{ ref('stg_ops__setting') }}
    where key in ('ib_universe_mistakes', 'tdx_instrument_range_mistakes') and value <> ''
)

select
    'seed_line' as check_name,
    'error' as severity,
    format('%s line %s', file, line) as subject,
    null::date as trade_date,
    case
        when field in ('line', 'header') then rule
        else format('%s = %s breaks the rule: %s', field, coalesce(written_value, 'empty'), rule)
    end
    || case
        when field = 'header' then '. The lines of before count'
        else '. This line does not count, the others do'
    end
    || format('; fix: correct line %s of %s, then quotemill build', line, file) as evidence
from lines
union all
select
    'seed_line' as check_name,
    'error' as severity,
    split_part(mistake, ': ', 1) as subject,
    null::date as trade_date,
    substr(mistake, strpos(mistake, ': ') + 2)
    || '. This line does not count, the others do; fix: correct the line' as evidence
from mistakes
