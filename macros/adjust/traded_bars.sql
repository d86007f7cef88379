{#
    Day bars that set prices: a bar on a day without trading sets none. Of the bars that are in the
    year of every day taken, each step has one left: the newest, with the highest high and the
    lowest low of all. So a night handles a few bars of a code, not the 240 of its year.

    bars: day bars, with the year before the days taken
    codes: steps_by_code()
    days_open: whether all exchanges trade, day by day
#}
{% macro traded_bars(bars, codes, days_open) -%}
    select
        b.code,
        {% if model.reads_taken -%}
            max(b.trade_date) as trade_date,
            max(b.high_li) as high_li,
            min(b.low_li) as low_li,
            (max(array[b.trade_date - date '1900-01-01', b.close_li]))[2] as close_li,
            bool_and(b.is_final) as is_final
        {% else -%}
            b.trade_date,
            b.high_li,
            b.low_li,
            b.close_li,
            b.is_final
        {% endif -%}
    from {{ bars }} as b
    {% if model.reads_taken -%}
        inner join (
            select
                t.code,
                t.first_date,
                least(
                    t.last_date,
                    (
                        select max(k.trade_date) from {{ ref('stg_tdx__kline_daily') }} as k
                        where k.code = t.code
                    )
                ) as last_date
            from {{ model.reads_taken }} as t
            {{ computed_once() }}
        ) as t on b.code = t.code
        left join {{ codes }} as c on b.code = c.code
    {% endif -%}
    where
        (select is_open from {{ days_open }})[
            b.trade_date - (select day_before from {{ days_open }})
        ]
        or {{ is_trading_day('b') | indent(8) }}
    {% if model.reads_taken -%}
        group by
            b.code,
            width_bucket(b.trade_date, c.starts),
            case
                when b.trade_date not between t.last_date - 364 and t.first_date - 1
                    then b.trade_date
            end
    {% endif -%}
{%- endmacro %}
