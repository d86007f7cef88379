{#
    How far a stock may close from its previous close, as a share of it; null before the limits of
    1996-12-16. Special treatment (5 %) is read from today's name: old days of stocks that were or
    became ST are judged by what they are now.
#}
{% macro price_limit(code, trade_date, name) -%}
    case
        when {{ code }} like 'bj%' then 0.30
        when {{ code }} like 'sh68%' then 0.20
        when {{ code }} like 'sz30%' and {{ trade_date }} >= date '2020-08-24' then 0.20
        when {{ name }} like '%ST%' then 0.05
        when {{ trade_date }} >= date '1996-12-16' then 0.10
    end
{%- endmacro %}
