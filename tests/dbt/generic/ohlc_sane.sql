{# Bars whose high is not the highest or whose low is not the lowest of the four prices. #}
{% test ohlc_sane(model) %}
    select * from {{ model }}
    where high < greatest(open, low, close) or low > least(open, high, close)
{% endtest %}
