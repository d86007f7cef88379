-- an announced split changes nothing yet
with actions as (
    select
        symbol,
        ex_date,
        coalesce(
            type = 'split' and ratio_num > ratio_den and mod(ratio_num, ratio_den) = 0, false
        ) as is_whole_split,
        ratio_num / ratio_den as ratio,
        false as is_found
    from {{ ref('us_corporate_actions') }}
    where ex_date <= ({{ as_of() }} at time zone 'America/New_York')::date
    union all
    select
        symbol,
        ex_date,
        true as is_whole_split,
        ratio,
        true as is_found
    from {{ ref('int_option_splits__found') }}
    where ex_date <= ({{ as_of() }} at time zone 'America/New_York')::date
),

-- from one action to the next, oldest rows first: days of a symbol with the same later actions
stretches as (
    select
        a.symbol,
        lag(a.ex_date, 1, date '1900-01-01') over (partition by a.symbol order by a.ex_date)
            as valid_from,
        a.ex_date as valid_to,
        {{ inner_schema() }}.nprod(a.ratio) over later as split_factor,
        bool_and(a.is_whole_split) over later as is_whole,
        bool_or(a.is_found) over later as has_found
    from (
        select
            symbol,
            ex_date,
            bool_and(is_whole_split) as is_whole_split,
            bool_or(is_found) as is_found,
            coalesce({{ inner_schema() }}.nprod(ratio) filter (where is_whole_split), 1) as ratio
        from actions
        group by symbol, ex_date
    ) as a
    window later as (partition by a.symbol order by a.ex_date desc)
),

-- the exchange rounds the new strikes
successors as (
    select
        o.conid,
        min(n.conid) as successor_conid
    from {{ ref('contracts') }} as o
    inner join actions as a
        on o.symbol = a.symbol and o.first_seen_date < a.ex_date and o.expiry >= a.ex_date
    inner join {{ ref('contracts') }} as n
        on
            o.symbol = n.symbol
            and o.expiry = n.expiry
            and o.option_right = n.option_right
            and a.ex_date <= n.first_seen_date
            and abs(n.strike - o.strike / a.ratio) <= 0.01
    where a.is_whole_split and not o.is_adjusted and not n.is_adjusted
    group by o.conid
),

factored as (
    select
        d.*,
        s.successor_conid,
        coalesce(a.split_factor, 1)::numeric(18, 0) as split_factor,
        not d.is_adjusted and coalesce(a.is_whole, true) as is_comparable,
        case
            when a.has_found then 'day_bars'
            when a.split_factor <> 1 then 'us_corporate_actions'
        end as split_source
    from {{ ref('chain_daily_clean') }} as d
    left join stretches as a
        on d.symbol = a.symbol and d.trade_date >= a.valid_from and d.trade_date < a.valid_to
    left join successors as s on d.conid = s.conid
)

select
    symbol,
    trade_date,
    conid,
    successor_conid,
    local_symbol,
    expiry,
    dte,
    option_right,
    multiplier,
    split_factor,
    is_comparable,
    case when is_comparable then strike / split_factor end::numeric(18, 6) as strike_adj,
    {% for price in ['bid', 'ask', 'mid', 'last', 'underlying_close'] -%}
        case when is_comparable then {{ price }} / split_factor end::numeric(18, 6)
            as {{ price }}_adj,
    {% endfor -%}
    case when is_comparable then volume_contracts * split_factor end::numeric(18, 0)
        as volume_adj,
    case when is_comparable then open_interest * split_factor end::numeric(18, 0)
        as open_interest_adj,
    moneyness,
    iv,
    delta,
    case when is_comparable then gamma * split_factor end::double precision as gamma_adj,
    case when is_comparable then vega / split_factor end::double precision as vega_adj,
    case when is_comparable then theta / split_factor end::double precision as theta_adj,
    rollup_strategy,
    data_quality_flag,
    split_source
from factored
