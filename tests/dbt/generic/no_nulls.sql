{# Rows without a value in one of `columns`. It reads every row: dbt's default selector leaves it out. #}
{% test no_nulls(model, columns) %}
    {{ config(tags=['whole_tables']) }}
    select {{ columns | join(', ') }}
    from {{ model }}
    where num_nulls({{ columns | join(', ') }}) > 0
{% endtest %}
