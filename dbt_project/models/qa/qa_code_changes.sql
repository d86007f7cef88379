-- so many on one day are one change of the exchange: one finding, not one of each stock
{%- set most = 5 %}
with found as (
    select
        *,
        count(*) over (partition by valid_from) as code_count,
        row_number() over (partition by valid_from order by old_code) as place
    from {{ ref('int_code_changes__found') }}
),

known as (
    select
        c.old_code || ' is now ' || c.new_code as change,
        row_number() over (order by c.old_code) as place
    from {{ ref('code_changes') }} as c
    inner join {{ ref('symbol_dim') }} as o on c.old_code = o.code
    inner join {{ ref('symbol_dim') }} as n on c.new_code = n.code
    where
        o.first_trade_date is not null
        and n.first_trade_date is not null
)

select
    'code_change_unknown' as check_name,
    'warning' as severity,
    case when code_count > {{ most }} then code_count || ' codes' else old_code end as subject,
    valid_from as trade_date,
    format(
        '%s and %s have the same prices and turnover on 40 days from %s to %s: one stock, counted'
        || ' twice; fix: add ',
        old_code, new_code, first_date, last_date
    )
    || case
        when code_count > {{ most }}
            then
                'the rows of quotemill_intermediate.int_code_changes__found, and the source, '
        else
            format(
                '%s,%s,%s and the source ',
                old_code, new_code, coalesce(valid_from::text, 'the first day of the new code')
            )
    end
    || format(
        'to seeds/code_changes_known.csv, or %s,none,, and the reason if they are two stocks',
        old_code
    ) as evidence
from found
where code_count <= {{ most }} or place = 1
union all
select
    'code_change_known' as check_name,
    'info' as severity,
    'kline_daily' as subject,
    null as trade_date,
    format(
        '%s%s: stocks with bars under two codes, counted under the new one'
        ' (seeds/code_changes_known.csv)',
        string_agg(change, ', ' order by place) filter (where place <= {{ most }}),
        case when count(*) > {{ most }} then ' and ' || count(*) - {{ most }} || ' more' end
    ) as evidence
from known
having count(*) > 0
