-- reads {market}.symbol_dim {market}.kline_daily{adjusted}
select
    0 as id,
    substr(s.code, 3) as symbol,
    {exchange} as exchange,
    b.trade_date::timestamp at time zone 'Asia/Shanghai' as datetime,
    'd' as "interval",
    coalesce(b.volume_shares, 0)::double precision as volume,
    coalesce(b.amount_cny, 0)::double precision as turnover,
    0::double precision as open_interest,
    b.open::double precision as open_price,
    b.high::double precision as high_price,
    b.low::double precision as low_price,
    b.close::double precision as close_price
from {market}.symbol_dim as s
inner join {market}.kline_daily{adjusted} as b on s.code = b.code

-- reads {market}.symbol_dim {market}.index_kline_daily
select
    0 as id,
    substr(s.code, 3) as symbol,
    {exchange} as exchange,
    b.trade_date::timestamp at time zone 'Asia/Shanghai' as datetime,
    'd' as "interval",
    coalesce(b.volume_shares, 0)::double precision as volume,
    coalesce(b.amount_cny, 0)::double precision as turnover,
    0::double precision as open_interest,
    b.open::double precision as open_price,
    b.high::double precision as high_price,
    b.low::double precision as low_price,
    b.close::double precision as close_price
from {market}.symbol_dim as s
inner join {market}.index_kline_daily as b on s.code = b.code

-- reads {market}.symbol_dim {market}.{minutes}
select
    0 as id,
    substr(s.code, 3) as symbol,
    {exchange} as exchange,
    b.bar_end - interval '1 minute' as datetime,
    '1m' as "interval",
    coalesce(b.volume_shares, 0)::double precision as volume,
    coalesce(b.amount_cny, 0)::double precision as turnover,
    0::double precision as open_interest,
    b.open::double precision as open_price,
    b.high::double precision as high_price,
    b.low::double precision as low_price,
    b.close::double precision as close_price
from {market}.symbol_dim as s
inner join {market}.{minutes} as b on s.code = b.code

-- reads {futures}.main_segments {futures}.main_daily
select
    0 as id,
    split_part(v.variety, '.', 2) || '88' as symbol,
    split_part(v.variety, '.', 1) as exchange,
    b.trading_day::timestamp at time zone 'Asia/Shanghai' as datetime,
    'd' as "interval",
    coalesce(b.volume_lots, 0)::double precision as volume,
    0::double precision as turnover,
    coalesce(b.close_oi, 0)::double precision as open_interest,
    b.open::double precision as open_price,
    b.high::double precision as high_price,
    b.low::double precision as low_price,
    b.close::double precision as close_price
from (select distinct variety from {futures}.main_segments) as v
inner join {futures}.main_daily as b on v.variety = b.variety
where b.close is not null

-- reads {futures}.main_segments {futures}.main_1m
select
    0 as id,
    split_part(v.variety, '.', 2) || '88' as symbol,
    split_part(v.variety, '.', 1) as exchange,
    b.start_at as datetime,
    '1m' as "interval",
    coalesce(b.volume_lots, 0)::double precision as volume,
    coalesce(b.amount_cny, 0)::double precision as turnover,
    coalesce(b.close_oi, 0)::double precision as open_interest,
    b.open::double precision as open_price,
    b.high::double precision as high_price,
    b.low::double precision as low_price,
    b.close::double precision as close_price
from (select distinct variety from {futures}.main_segments) as v
inner join {futures}.main_1m as b on v.variety = b.variety
where b.close is not null
