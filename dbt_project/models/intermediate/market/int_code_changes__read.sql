-- An impossible day, as 2025-02-30, would stop the query where it is cast: counted from the first
-- of its month, it is another text.
select
    trim(s.old_code) as old_code,
    trim(s.new_code) as new_code,
    s.valid_from as date_text,
    s.source,
    case
        when s.old_code is null or trim(s.old_code) !~ '^(sh|sz|bj)[0-9]{6}$'
            then 'old_code is no code such as bj833819'
        when s.new_code is null or trim(s.new_code) !~ '^(sh|sz|bj)[0-9]{6}$'
            then 'new_code is no code such as bj920819'
        when d.first_date is null or to_char(d.first_date, 'YYYY-MM-DD') <> trim(s.valid_from)
            then 'valid_from is no day such as 2025-05-06'
        when count(*) over (partition by trim(s.old_code)) > 1
            then 'old_code is there more than once'
        when count(*) over (partition by trim(s.new_code)) > 1
            then 'new_code is there more than once'
        when trim(s.new_code) in (select trim(o.old_code) from {{ ref('code_changes_known') }} as o)
            then 'new_code has changed too: name the last code'
    end as fault,
    d.first_date as valid_from
from {{ ref('code_changes_known') }} as s
cross join lateral (
    values (
        case
            when trim(s.valid_from) ~ '^[12][0-9]{3}-(0[1-9]|1[0-2])-[0-3][0-9]$'
                then
                    (left(trim(s.valid_from), 7) || '-01')::date
                    + right(trim(s.valid_from), 2)::integer - 1
        end
    )
) as d (first_date)
