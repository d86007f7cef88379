{# Rows without a value in one of `columns`. Reads every row: the default selector omits it. #}
{% test no_nulls(model, columns) %}
    {{ config(tags=['whole_tables']) }}
    select {{ columns | join(', ') }}
    from {{ model }}
    where num_nulls({{ columns | join(', ') }}) > 0
{% endtest %}
