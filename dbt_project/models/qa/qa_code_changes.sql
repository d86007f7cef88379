-- so many on one day are one change of the exchange: one finding, not one of each stock
{%- set most = 5 %}
with proposed as (
    select
        *,
        count(*) over (partition by valid_from) as day_count,
        row_number() over (partition by valid_from order by old_code) as place
    from {{ ref('int_code_changes__proposed') }}
)

select
    'code_change_unknown' as check_name,
    'warning' as severity,
    case when day_count > {{ most }} then day_count || ' codes' else old_code end as subject,
    valid_from as trade_date,
    format('its bars end %s, those of %s begin %s', last_trade_date, new_code, valid_from)
    || case
        when day_count > {{ most }}
            then
                format(' (%s), and so on: if they are the same stocks, ', old_code)
                || 'add the rows of quotemill_intermediate.int_code_changes__proposed, and the '
                || 'source, '
        else
            format(
                '; if it is the same stock, add %s,%s,%s and the source ',
                old_code, new_code, valid_from
            )
    end
    || format(
        'to seeds/code_changes_known.csv; if not, add %s,none,, and the reason', old_code
    ) as evidence
from proposed
where day_count <= {{ most }} or place = 1
