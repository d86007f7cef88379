-- Days with a final minute that ends at one of the given times. LIMIT and OFFSET keep the planner
-- from reading whole tables instead of probing for each code. The day is computed, as the index of
-- the last minutes has no other column.
select c.code, m.trade_date
from {codes}
cross join lateral (
    select (k.bar_end at time zone interval '08:00')::date as trade_date from {table} as k
    where k.code = c.code{period} and k.bar_end = any(%(ends)s) and {condition} offset 0
) as m
