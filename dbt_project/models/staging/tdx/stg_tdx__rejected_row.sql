-- The key of a bar is its code, the period of an index, the day and the label of a minute; that of
-- an action its place in a file or its key. The row itself has the rest as it was written. The file
-- of a record is its route, or stands in front of its key.
with parsed as (
    select
        *,
        regexp_match(
            row_key,
            '^((?:sh|sz|bj)[0-9]{6})(?: ([a-z0-9]+))? ([0-9]{4}-[0-9]{2}-[0-9]{2})'
            || '(?: ([0-9:]{5}))?$'
        ) as bar_key,
        coalesce(
            substring(row_key from '^(?:(?:gbbq|xdxr) )?((?:sh|sz|bj)[0-9]{6}) '),
            regexp_replace(
                lower(substring(payload from '"code": ?"([^"]*)"')),
                '^([0-9]{6})\.(sh|sz|bj)$', '\2\1'
            )
        ) as written_code,
        -- a 29th of February and a 31st are left out: an impossible day must not stop a build
        substring(
            payload
            from
            '"ex_date": ?"([12][0-9]{3}-(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])'
            || '|(?:0[13-9]|1[0-2])-(?:29|30)))"'
        )::date as ex_date,
        substring(payload from '"category": ?"?([0-9]{1,3})"?[,}]')::integer as category
    from {{ source('raw_tdx', 'rejected_row') }}
    -- those of gbbq are of capital_events, or of a load before that was so
    where dataset <> 'corporate_actions' or row_key !~ '(^| )gbbq '
)

select
    dataset,
    row_key,
    field,
    rule,
    value,
    coalesce(bar_key[1], substring(written_code from '^(?:sh|sz|bj)[0-9]{6}$')) as code,
    bar_key[2] as period,
    bar_key[3]::date as trade_date,
    bar_key[4] as source_label,
    ex_date,
    category,
    coalesce(
        substring(source_route from '^vipdoc/[a-z]+/(.+)$'),
        substring(row_key from '^([^ :]+[.](?:dat|cfg|csv))[ :]'),
        substring(row_key from '^(gbbq) ')
    ) as file_name,
    is_withdrawn is true as is_withdrawn,
    fetched_at
from parsed
