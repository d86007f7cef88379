{# Every code with minutes, from one to the next by the key: `distinct` would read them all. #}
{% macro codes_of_minutes() -%}
    with recursive codes as (
        (select code from raw_tdx.kline_minute order by code limit 1)
        union all
        select (
            select m.code from raw_tdx.kline_minute as m
            where m.code > c.code order by m.code limit 1
        )
        from codes as c
        where c.code is not null
    )

    select code from codes where code is not null
{%- endmacro %}
