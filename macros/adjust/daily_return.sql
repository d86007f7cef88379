{#
    ret_1d of bar `y`: between bars of one step that of the closes, rounded in integers. A step
    between them may be an event: then exactly, since the bar of day y.previous_bar_date with the
    close y.previous_li; if these are null, since bar `l`. The zero of 24 places makes PostgreSQL
    keep as many in the quotient.
#}
{% macro daily_return() -%}
    {%- set previous_day = 'coalesce(y.previous_bar_date, l.trade_date)' -%}
    case
        when
            y.is_one_step
            and y.previous_li between 1 and 268435455
            and y.close_li between 0 and 268435455
            then (
                (y.close_li - y.previous_li) * 20000000000
                + case when y.close_li < y.previous_li then -1 else 1 end * y.previous_li
            ) / (2 * y.previous_li) * 0.0000000001
        else (
            select
                round(
                    (a.backward_a * y.close_li + 0.000000000000000000000000) / a.previous_hfq - 1,
                    10
                )
            from (
                select
                    coalesce(t.backward_a, 1) as backward_a,
                    coalesce(p.backward_a, 1) * coalesce(y.previous_li, l.close_li)
                    + 1000 * (coalesce(p.backward_b, 0) - coalesce(t.backward_b, 0))
                        as previous_hfq
                from (values (1)) as v (one)
                left join {{ ref('adjustment_segments') }} as t
                    on
                        t.code = y.code
                        and t.valid_from <= y.trade_date
                        and t.valid_to > y.trade_date
                left join {{ ref('adjustment_segments') }} as p
                    on
                        p.code = y.code
                        and p.valid_from <= {{ previous_day }}
                        and p.valid_to > {{ previous_day }}
            ) as a
            where a.previous_hfq > 0
        )
    end
{%- endmacro %}
