{#
    ret_1d of bar `y` since a bar in other terms, exactly: that of day y.previous_bar_date with the
    close y.previous_li; if these are null, bar `l`. The zero of 24 places makes PostgreSQL keep as
    many in the quotient.
#}
{% macro return_across_steps() -%}
    {%- set previous_day = 'coalesce(y.previous_bar_date, l.trade_date)' -%}
    select
        round(
            (a.backward_a * y.close_li + 0.000000000000000000000000) / a.previous_hfq - 1,
            10
        )
    from (
        select
            coalesce(t.backward_a, 1) as backward_a,
            coalesce(p.backward_a, 1) * coalesce(y.previous_li, l.close_li)
            + 1000 * (coalesce(p.backward_b, 0) - coalesce(t.backward_b, 0)) as previous_hfq
        from (values (1)) as v (one)
        left join {{ ref('adjustment_segments') }} as t
            on t.code = y.code and t.valid_from <= y.trade_date and t.valid_to > y.trade_date
        left join {{ ref('adjustment_segments') }} as p
            on
                p.code = y.code
                and p.valid_from <= {{ previous_day }}
                and p.valid_to > {{ previous_day }}
    ) as a
    where a.previous_hfq > 0
{%- endmacro %}
