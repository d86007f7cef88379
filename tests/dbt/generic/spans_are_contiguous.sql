{#
    Spans [valid_from, valid_to) of a key that overlap, are empty, or leave a gap: every day from
    1900-01-01 on lies in exactly one.
#}
{% test spans_are_contiguous(model, key) %}
    with spans as (
        select
            {{ key }},
            valid_from,
            valid_to,
            lag(valid_to, 1, date '1900-01-01') over neighbours as expected_from,
            lead(valid_from, 1, date '9999-12-31') over neighbours as expected_to
        from {{ model }}
        window neighbours as (partition by {{ key }} order by valid_from)
    )

    select * from spans
    where
        valid_from <> expected_from
        or valid_to is distinct from expected_to
        or valid_from >= valid_to
{% endtest %}
