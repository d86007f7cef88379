{# Every row of the model: for models that list findings. #}
{% test no_rows(model) %}
    select * from {{ model }}
{% endtest %}
