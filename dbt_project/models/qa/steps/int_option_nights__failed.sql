with nights as (
    select
        c.symbol,
        c.trade_date,
        c.contract_count,
        c.carried_count,
        c.underlying_open,
        c.previous_date,
        c.previous_count,
        c.previous_close,
        (
            select count(*) > 0 from {{ ref('us_corporate_actions') }} as a
            where a.symbol = c.symbol and a.ex_date > c.previous_date and a.ex_date <= c.trade_date
        ) as has_action
    from (
        select
            *,
            lag(trade_date) over symbol_days as previous_date,
            lag(lasting_count) over symbol_days as previous_count,
            lag(underlying_close) over symbol_days as previous_close
        from {{ ref('int_option_days__counted') }}
        window symbol_days as (partition by symbol order by trade_date)
    ) as c
    where {{ is_in_universe('c.symbol') }}
)

select
    'overnight_move' as check_name,
    'warning' as severity,
    d.symbol as subject,
    d.trade_date,
    format(
        'moved from %s to %s overnight, with no corporate action since %s; fix: add it to '
        'seeds/us_corporate_actions.csv if there was one',
        trim_scale(d.previous_close), trim_scale(d.underlying_open), d.previous_date
    ) as evidence
from nights as d
where
    abs(d.underlying_open / nullif(d.previous_close, 0) - 1) > 0.25
    and not d.has_action
union all
-- not for a known action, nor after days on which more may have expired
select
    'contracts_vanished' as check_name,
    'warning' as severity,
    d.symbol as subject,
    d.trade_date,
    format(
        'only %s of %s unexpired contracts from %s are left; cannot be recovered', d.carried_count,
        d.previous_count, d.previous_date
    ) as evidence
from nights as d
inner join {{ ref('sessions') }} as s
    on d.trade_date = s.trade_date and d.previous_date = s.previous_trade_date
where
    d.contract_count > 0
    and d.carried_count < 0.5 * d.previous_count
    and not d.has_action
