-- Days with a final minute that ends at one of the given times. LIMIT and OFFSET keep the planner
-- from reading whole tables instead of probing for each code.
select c.code, m.trade_date
from {codes}
cross join lateral (
    select k.trade_date from {table} as k
    where k.code = c.code{period} and k.bar_end = any(%(ends)s) and k.is_final offset 0
) as m
