{{ config(
    materialized='followed',
    unique_key=chain_key(),
    meta={
        'entity': 'symbol',
        'by': 'trade_date',
        'follows': tables_of_quotes({'forwards': 'day'}),
        'keeps': "stored.rollup_source_view = 'intraday' and " ~ slots_are_deleted(),
    },
) }}

with valued as (
    select * from {{ changed(ref('int_option_quotes__valued')) }}
),

quotes as (
    select
        {{ chain_columns('q') }},
        q.option_right,
        q.is_american,
        q.years,
        q.mid,
        q.iv as source_iv,
        q.strike::double precision as strike,
        {{ forward_of_quote('q', 'f') | indent(8) }} as forward,
        f.rate
    from valued as q
    inner join {{ ref('forwards') }} as f
        on {{ same_chain('q', 'f') }}
    where
        q.bid > 0
        -- within some 1.5 deviations: a delta of 0.25 is at 0.7
        and abs(ln(f.forward / q.strike::double precision)) <= 0.05 + 1.5 * coalesce(
            f.iv_of_pairs, 1
        ) * sqrt(q.years)
),

normalised as (
    select
        *,
        ln(strike / forward) as log_strike,
        case when not is_american then -abs(ln(forward / strike)) end as x,
        exp(-rate * years) * sqrt(forward * strike) as unit
    from quotes
    where (option_right = 'C') = (forward <= strike)
),

solved as (
    {{ implied_volatilities('normalised', ['mid']) | indent }}
),

-- an American option has the volatility of the source's model
valued_quotes as materialized (
    select
        *,
        case when is_american then source_iv else iv_from_mid end as iv
    from solved
),

-- delta of the forward, without discount: of a call N(d1), of a put N(d1) - 1; computed once, not
-- in each aggregate below
measured as materialized (
    select
        *,
        abs({{ inner_schema() }}.normal_cdf(
            case option_right when 'C' then 1 else -1 end
            * (iv * sqrt(years) / 2 - log_strike / (iv * sqrt(years)))
        )) as delta
    from valued_quotes
    where iv > 0
),

neighbours as (
    select
        {{ chain_columns() }},
        {% for name, by, at, side in [
            ('below', 'log_strike', 'desc', 'log_strike <= 0'),
            ('above', 'log_strike', 'asc', 'log_strike > 0'),
            ('put_in', 'delta', 'asc', "option_right = 'P' and delta >= 0.25"),
            ('put_out', 'delta', 'desc', "option_right = 'P' and delta < 0.25"),
            ('call_in', 'delta', 'asc', "option_right = 'C' and delta >= 0.25"),
            ('call_out', 'delta', 'desc', "option_right = 'C' and delta < 0.25"),
        ] -%}
            {% for column, value in [('at', by), ('iv', 'iv')] -%}
                (
                    array_agg({{ value }} order by {{ by }} {{ at }}, iv) filter (where {{ side }})
                )[1] as {{ name }}_{{ column }},
            {% endfor -%}
        {% endfor -%}
        count(*)::integer as quote_count
    from measured
    group by {{ chain_columns() }}
)

select
    {{ chain_columns() }},
    quote_count,
    case
        when below_at = 0 then below_iv
        else below_iv + (above_iv - below_iv) * -below_at / (above_at - below_at)
    end as atm_iv,
    put_out_iv + (put_in_iv - put_out_iv) * (0.25 - put_out_at) / (put_in_at - put_out_at)
        as put_25delta_iv,
    call_out_iv + (call_in_iv - call_out_iv) * (0.25 - call_out_at) / (call_in_at - call_out_at)
        as call_25delta_iv
from neighbours
