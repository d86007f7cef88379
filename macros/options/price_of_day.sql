{#
    A price of its own day of the row `q`: bid, ask, or the last trade. Without a volume of the day
    the trade is of an earlier one.
#}
{% macro price_of_day(q) -%}
    coalesce({{ q }}.bid, {{ q }}.ask, case when {{ q }}.volume_contracts > 0 then {{ q }}.last end)
{%- endmacro %}

{# Middle of bid and ask of the row `q`; null unless both exist and do not cross. 0 is a bid. #}
{% macro option_mid(q) -%}
    (case when {{ q }}.bid >= 0 and {{ q }}.ask > 0 and {{ q }}.ask >= {{ q }}.bid
        then ({{ q }}.bid + {{ q }}.ask) / 2 end)::numeric(18, 6)
{%- endmacro %}

{# The underlying's price at the time of the row `q`: by its own quote, else the model's. #}
{% macro underlying_price(q) -%}
    (coalesce(
        case when {{ q }}.und_bid > 0 and {{ q }}.und_ask >= {{ q }}.und_bid
            then ({{ q }}.und_bid + {{ q }}.und_ask) / 2 end,
        {{ q }}.und_last,
        {{ q }}.und_price
    ))::numeric(18, 6)
{%- endmacro %}
