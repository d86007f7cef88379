{#
    Lines of a seed that break one of `rules`: conditions by the column that they are about. A rule
    reads its line as `m`, and all of them as `lines`.
#}
{% test holds(model, rules) %}
    with lines as (
        select * from {{ model }}
    )

    {% for column, rule in rules.items() -%}
        select
            '{{ column }}' as column_name,
            $rule${{ rule }}$rule$ as rule,
            jsonb_strip_nulls(to_jsonb(m))::text as line
        from lines as m
        where ({{ rule }}) is not true
        {{ 'union all' if not loop.last }}
    {% endfor %}
{% endtest %}
