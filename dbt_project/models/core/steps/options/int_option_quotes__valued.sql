with priced as (
    select
        *,
        -- The underlying trades on while the close view is captured: all of it stands at the last
        -- trade by the first quote of the last slot.
        first_value(
            case
                when rung = 1 and rollup_source_view = 'intraday' and is_on_time
                    then coalesce(und_last, underlying_price)
            end
        ) over (
            partition by symbol, trade_date
            order by
                case
                    when
                        rung = 1
                        and rollup_source_view = 'intraday'
                        and is_on_time
                        and coalesce(und_last, underlying_price) > 0
                        then captured_at
                end asc nulls last,
                conid asc
        ) as closing_price
    from {{ ref('int_option_quotes__ranked') }}
),

quotes as (
    select
        q.*,
        case
            when q.rollup_source_view = 'close' then q.sample_time
            else greatest(q.sample_time, least(q.captured_at, s.close_at))
        end as quoted_at,
        case
            when q.rollup_source_view = 'close' and q.closing_price > 0 then q.closing_price
            -- at the time of the source's model
            when q.und_price > 0 then q.und_price
            when q.underlying_price > 0 then q.underlying_price
        end as spot,
        q.rollup_source_view = 'close' and (q.closing_price > 0) is not true as is_late_spot
    from priced as q
    left join {{ ref('stg_ib__session') }} as s on q.trade_date = s.trade_date
    where q.is_good and q.is_on_time and q.mid > 0
)

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
        epoch from {{ contract_term('expires_at') }} - q.quoted_at
    )::double precision / 31536000 as years,
    q.spot::double precision as spot,
    q.is_late_spot
from quotes as q
inner join {{ ref('stg_ib__contract') }} as k on q.conid = k.conid
{{ former_terms_joined('q') }}
where
    {{ contract_term('strike') }} > 0
    and not {{ contract_term('is_adjusted') }}
    and {{ contract_term('expires_at') }} > q.quoted_at
