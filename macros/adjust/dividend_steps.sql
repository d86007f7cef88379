{#
    The days from which other coefficients hold, or another sum of the dividends of a year, by code.
    cash_hfq is that sum before tax for one share at the start of the history: a dividend counts
    from its ex-date, for 365 days. Without an action on record a code has none, not even 0.
#}
{% macro dividend_steps(actions, segments) -%}
    {%- set payments -%}
    select
        a.code,
        a.ex_date,
        a.cash_per10_yuan * 0.1 * s.backward_a as cash_hfq
    from {{ actions }} as a
    inner join {{ segments }} as s on a.code = s.code and a.ex_date = s.valid_to
    where a.is_active and a.category = 1
    {%- endset -%}
    select
        code,
        valid_from,
        sum(sum(cash_hfq)) over (partition by code order by valid_from) as cash_hfq
    from (
        select
            code,
            valid_from,
            null as cash_hfq
        from {{ segments }}
        union all
        select distinct
            code,
            date '1900-01-01' as valid_from,
            0 as cash_hfq
        from {{ actions }}
        union all
        select
            p.code,
            d.valid_from,
            d.cash_hfq
        from ({{ payments }}) as p
        cross join lateral (
            values (p.ex_date, p.cash_hfq), (p.ex_date + 365, -p.cash_hfq)
        ) as d (valid_from, cash_hfq)
    ) as changes
    group by code, valid_from
{%- endmacro %}
