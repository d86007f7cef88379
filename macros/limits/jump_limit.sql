{#
    How far a bar may open or close from the price that the last bar leads to, as a share of it: the
    limit of its board and half a per cent for rounding; 20 % before the limits of 1996-12-16.
    Stocks under special treatment are judged by 10 %, too.
#}
{% macro jump_limit(code, trade_date) -%}
    case
        when {{ trade_date }} < date '1996-12-16' then 0.20
        when {{ code }} like 'bj%' then 0.305
        when {{ code }} like 'sh68%' then 0.205
        when {{ code }} like 'sz30%' and {{ trade_date }} >= date '2020-08-24' then 0.205
        else 0.105
    end
{%- endmacro %}
