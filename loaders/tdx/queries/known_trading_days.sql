-- a day that only the published calendar has was no trading day; only after the newest day that
-- the service's calendar has, this is not yet known
select trade_date from {market}.trading_calendar
where trade_date between %(since)s and %(until)s and (is_served or trade_date > (
    select max(trade_date) from {market}.trading_calendar where is_served
)) order by 1
