{# What a later answer brought well is stored. No answer has a sample twice: any later one is. #}
{%- set same_day = "k.code = r.code and k.trade_date = r.trade_date" -%}
{%- set not_stored = [] -%}
{%- for dataset, table, is_same in [
    ('kline_daily', 'kline_daily', same_day ~ " and r.field <> 'close of two sources'"),
    ('kline_adjusted', 'kline_adjusted', same_day),
    ('tick_trade', 'tick_trade', same_day),
    ('index_kline', 'index_kline', same_day ~ " and k.period = coalesce(r.period, 'day')
        and k.source_label is not distinct from r.source_label
        and r.field <> 'close of two sources'"),
    ('minute_1m', 'kline_minute', "k.code = r.code and k.source_label = r.source_label
        and k.bar_end >= r.trade_date::timestamp at time zone 'Asia/Shanghai'
        and k.bar_end < (r.trade_date + 1)::timestamp at time zone 'Asia/Shanghai'"),
    ('minute_5m', 'kline_5m', same_day ~ " and to_char(
        k.bar_end at time zone 'Asia/Shanghai', 'HH24:MI'
    ) = r.source_label"),
    ('quote_snapshot', 'quote', 'k.code = r.code and k.sampled_at > r.fetched_at'),
    ('market_stats_snapshot', 'market_stats',
        "k.exchange = split_part(r.row_key, ' ', 1) and k.sampled_at > r.fetched_at"),
] -%}
    {%- do not_stored.append(not_stored_row(dataset, ref('stg_tdx__' ~ table), is_same)) -%}
{%- endfor -%}

with refused_actions as (
    select a.*
    from {{ ref('int_corporate_actions__refused') }} as a
    where exists (select 1 from {{ ref('stg_tdx__kline_daily') }} as k where k.code = a.code)
),

open_rows as (
    select r.*
    from {{ ref('stg_tdx__rejected_row') }} as r
    where r.dataset <> 'codes' and not r.is_withdrawn and {{ not_stored | join(' and ') }}
),

judged as (
    select
        r.*,
        a.code as action_code,
        a.ex_date as action_date
    from open_rows as r
    left join refused_actions as a
        on
            r.dataset in ('corporate_actions', 'capital_events')
            and r.row_key = a.row_key
            and r.field = a.field
            and r.rule = a.rule
),

-- beyond ten findings a file is one; a record may break several rules
bad_files as (
    select
        dataset,
        file_name,
        count(distinct row_key) as record_count,
        min(row_key) as row_key,
        (array_agg(rule order by row_key, rule))[1] as rule
    from judged
    where action_code is null and file_name is not null
    group by dataset, file_name
    having count(*) > 10
)

select
    case when j.action_code is null then 'rejected_row' else 'refused_action' end as check_name,
    case when j.action_code is null then 'warning' else 'error' end as severity,
    coalesce(j.action_code, j.dataset || ' ' || j.row_key) as subject,
    j.action_date as trade_date,
    case when j.action_code is null then '' else j.row_key || ': ' end
    || format('%s = %s breaks the rule: %s', j.field, coalesce(j.value, 'null'), j.rule)
    || case
        when j.action_code is not null
            then
                '. Its adjusted prices lack this event (has_refused_action); fix: correct it in '
                || 'its file or in seeds/corporate_action_overrides.csv, then quotemill run tdx'
        when j.file_name is not null
            then
                '; fix: correct or download the file, then loaders run tdx --mode init --dataset '
                || j.dataset
        else
            '; fix: loaders run tdx --mode init --dataset ' || j.dataset
            || ', if the source is right by now'
    end as evidence
from judged as j
left join bad_files as f on j.dataset = f.dataset and j.file_name = f.file_name
where j.action_code is not null or f.file_name is null
union all
select
    'rejected_row' as check_name,
    'warning' as severity,
    dataset || ' ' || file_name as subject,
    null::date as trade_date,
    format(
        '%s records break rules, such as %s: %s; fix: correct or download the file, then loaders '
        'run tdx --mode init --dataset %s', record_count, row_key, rule, dataset
    ) as evidence
from bad_files
union all
-- a record of gbbq that landed and cannot be true
select
    'refused_action' as check_name,
    'error' as severity,
    a.code as subject,
    a.ex_date as trade_date,
    format(
        '%s breaks the rule: %s. Its adjusted prices lack this event (has_refused_action); fix: '
        'replace it in seeds/corporate_action_overrides.csv, then quotemill build',
        a.field, a.rule
    ) as evidence
from refused_actions as a
where
    not exists (select 1 from judged as j where j.row_key = a.row_key)
    and a.row_key ~ '^gbbq [a-z0-9]+ [0-9]{4}-'
union all
select
    'action_in_yuan' as check_name,
    'warning' as severity,
    code as subject,
    null::date as trade_date,
    format(
        'prices are in %1$s, but corporate actions (latest %2$s) in yuan: only bonus shares adjust '
        'them (has_refused_action); fix: add the amounts in %1$s to '
        'seeds/corporate_action_overrides.csv',
        {{ stock_currency('code') }},
        max(ex_date)
    ) as evidence
from refused_actions
where rule = '{{ foreign_money_rule() }}'
group by code
union all
-- such as an open-ended fund, whose net values look like bars
select
    'untraded_code' as check_name,
    'info' as severity,
    'codes' as subject,
    null::date as trade_date,
    format(
        '%s without a single trade in the whole day-bar file, such as %s: not loaded',
        {{ say_count('code') }}, min(r.code)
    ) as evidence
from {{ ref('stg_tdx__rejected_row') }} as r
where r.dataset = 'codes' and not r.is_withdrawn
having count(*) > 0
