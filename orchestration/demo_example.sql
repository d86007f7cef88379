-- the newest day whose price is adjusted by exactly one event, a cash dividend or bonus; most of
-- all one whose figures differ from one another, so that a mistake would show
select
    k.code, k.trade_date, k.close, q.close, a.ex_date,
    a.cash_per10_yuan, a.bonus_total_per10, a.rights_per10, a.rights_price_yuan
from market.corporate_actions as a
inner join market.kline_daily as k on k.code = a.code and k.trade_date < a.ex_date
inner join market.kline_daily_qfq as q on q.code = k.code and q.trade_date = k.trade_date
where a.is_active and a.category = 1 and not exists (
    select 1 from market.corporate_actions as other
    where other.code = a.code and other.is_active and other.ex_date >= a.ex_date
        and (other.ex_date, other.seq) <> (a.ex_date, a.seq)
)
order by (
    select count(distinct figure)
    from unnest(array[
        k.close, q.close,
        a.cash_per10_yuan, a.bonus_total_per10, a.rights_per10, a.rights_price_yuan
    ]) as figure
) desc, k.trade_date desc, k.code
limit 1
