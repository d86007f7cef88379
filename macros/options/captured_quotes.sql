{#
    The captured quotes of close view and slots, with middle, price of the underlying, whether they
    can stand for their contract (`is_good`: no error, at least one price of its own day, bid and
    ask not crossed) and whether they came in time to stand for their slot (`is_on_time`; the close
    view is of no slot). Figures of a day take rows that are both.
#}
{% macro captured_quotes() -%}
    select
        q.*,
        {{ option_mid('q') | indent }} as mid,
        {{ underlying_price('q') | indent }} as underlying_price,
        (
            not q.snapshot_error
            and {{ price_of_day('q') }} is not null
            and (q.bid > q.ask) is not true
            and not 'slot_retry_exceeded' = any(q.data_quality_flag)
        ) as is_good,
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
