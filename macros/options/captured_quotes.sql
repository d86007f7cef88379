{#
    The captured quotes of close view and slots, with middle, price of the underlying, and whether
    they can stand for their contract.
#}
{% macro captured_quotes() -%}
    select
        q.*,
        {{ option_mid('q') | indent }} as mid,
        {{ underlying_price('q') | indent }} as underlying_price,
        {{ is_good_quote('q') | indent }} as is_good
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
