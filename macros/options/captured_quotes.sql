{#
    The captured quotes of close view and slots, with middle, price of the underlying, whether they
    can stand for their contract (`is_good`) and whether they came in time to stand for their slot
    (`is_on_time`; the close view is of no slot). Figures of a day take rows that are both.
#}
{% macro captured_quotes() -%}
    select
        q.*,
        {{ option_mid('q') | indent }} as mid,
        {{ underlying_price('q') | indent }} as underlying_price,
        {{ is_good_quote('q') | indent }} as is_good,
        q.rollup_source_view = 'close' or {{ is_on_time('q') | indent }} as is_on_time
    from (
        select
            'close' as rollup_source_view,
            *
        from {{ changed(ref('stg_ib__chain_close')) }}
        union all
        select
            'intraday' as rollup_source_view,
            *
        from {{ changed(ref('stg_ib__chain_snapshot')) }}
    ) as q
{%- endmacro %}
