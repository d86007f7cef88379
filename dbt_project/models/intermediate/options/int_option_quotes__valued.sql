select
    q.symbol,
    q.trade_date,
    q.rollup_source_view,
    q.sample_time,
    q.conid,
    q.is_day_quote,
    {{ contract_term('trading_class') }} as trading_class,
    {{ contract_term('expiry') }} as expiry,
    {{ contract_term('strike') }} as strike,
    k.option_right,
    k.underlying_sec_type <> 'IND' as is_american,
    q.bid,
    q.ask,
    q.mid,
    q.iv,
    q.pv_dividend,
    -- of 365 days
    extract(
        epoch from {{ contract_term('expires_at') }} - q.sample_time
    )::double precision / 31536000 as years,
    -- at the time of the source's model; a price must be above 0
    (
        case
            when q.und_price > 0 then q.und_price
            when q.underlying_price > 0 then q.underlying_price
        end
    )::double precision as spot
from {{ ref('int_option_quotes__ranked') }} as q
inner join {{ ref('stg_ib__contract') }} as k on q.conid = k.conid
{{ former_terms_joined('q') }}
where
    q.is_good
    and q.is_on_time
    and q.mid > 0
    and {{ contract_term('strike') }} > 0
    and not {{ contract_term('is_adjusted') }}
    and {{ contract_term('expires_at') }} > q.sample_time
