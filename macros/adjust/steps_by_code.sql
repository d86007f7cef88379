{#
    The `steps` of each code (see dividend_steps) in one row, as arrays: width_bucket finds that of
    a day, where a join would try them all. Coefficients take li: backward_a and backward_b exactly,
    units_a and units_b as integers, for prices up to limit_li in parts of li (unit, null where it
    is 1). cash_units is the yield in units of its last decimal times the close in li.
#}
{% macro steps_by_code(steps, segments) -%}
    {%- set bound = price_bound('units') ~ ' - 1' -%}
    select
        code,
        case when decimals > 0 then ('1e-' || decimals)::numeric end as unit,
        {% for name, expression in {
            'starts': 'valid_from',
            'backward_a': 'backward_a',
            'backward_b': 'backward_b',
            'units_a': in_price_units('backward_a', bound),
            'units_b': in_price_units('backward_b', bound),
            'cash_hfq': 'cash_hfq',
            'cash_units': '(cash_hfq * 10000000000000 / backward_a)::float8',
        }.items() -%}
            array_agg({{ expression }} order by valid_from) as {{ name }},
        {% endfor -%}
        greatest(
            min(
                floor((({{ bound }}) * ('1e-' || decimals)::numeric - abs(backward_b)) / backward_a)
            ),
            -1
        )::bigint as limit_li
    from (
        select
            t.code,
            t.valid_from,
            t.cash_hfq,
            coalesce(s.backward_a, 1) as backward_a,
            coalesce(s.backward_b, 0) * 1000 as backward_b,
            max(
                greatest(
                    scale(trim_scale(s.backward_a)), scale(trim_scale(s.backward_b * 1000)), 0
                )
            ) over (partition by t.code) as decimals
        from {{ steps }} as t
        left join {{ segments }} as s
            on t.code = s.code and t.valid_from >= s.valid_from and t.valid_from < s.valid_to
    ) as terms
    group by code, decimals
{%- endmacro %}

{# What is too large for an integer is cut off: limit_li is then at most 0, below any price. #}
{% macro in_price_units(coefficient, bound) -%}
    least(
        greatest({{ coefficient }} * ('1e' || decimals)::numeric, -({{ bound }})), {{ bound }}
    )::bigint
{%- endmacro %}
