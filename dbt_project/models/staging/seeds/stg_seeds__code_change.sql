-- A line that breaks a rule says which, and has null for what cannot be read.
with recursive cells as (
    {{ seed_lines('code_changes_known', [
        'old_code', 'new_code', 'valid_from', 'source',
    ]) | indent(4) }}
),

typed as (
    select
        c.line,
        {{ read_code('c.old_code') | indent(8) }} as old_code,
        {{ read_code('c.new_code') | indent(8) }} as new_code,
        {{ read_day('c.valid_from') | indent(8) }} as valid_from,
        lower(c.new_code) = 'none' as is_dismissed,
        c.source,
        to_jsonb(c) as written
    from cells as c
),

-- the codes that a line leads to: a stock may change its code again
followed as (
    select
        line,
        new_code
    from typed
    union
    select
        f.line,
        t.new_code
    from followed as f
    inner join typed as t on f.new_code = t.old_code
),

judged as (
    select
        t.*,
        case
            {{ unreadable_line('source') | indent(12) }}
            when t.old_code is null
                then array['old_code', 'must look like bj833819, BJ833819 or 833819.BJ']
            when t.new_code is null and t.is_dismissed is not true
                then array['new_code', 'must look like bj920819, or be none']
            when t.valid_from is null and t.is_dismissed is not true
                then array['valid_from', 'must be a day in the form 2025-05-06']
            when t.source is null
                then array['source', 'must not be empty']
            when
                exists (
                    select 1 from followed as f
                    where f.line = t.line and f.new_code = t.old_code
                )
                then array['new_code', 'must not lead back to the old code']
        end as broken
    from typed as t
),

with_first as (
    select
        *,
        min(line) over (partition by broken is null, old_code) as first_line
    from judged
)

select
    line,
    old_code,
    new_code,
    valid_from,
    source,
    {{ seed_line_verdict() }}
from with_first
