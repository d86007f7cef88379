{#
    Pre-hook of the first rollup of minutes, in its transaction: take the queued changes of minutes,
    and queue the same days for the longer bars that are made of its rows. A build that fails takes
    nothing. Built anew, it takes every code.
#}
{% macro take_minute_changes(longer) -%}
    {%- set queue = 'quotemill_intermediate.change_queue' -%}
    {% if not is_incremental() -%}
        insert into {{ queue }} (consumer, code, first_date, last_date)
        select '{{ this.identifier }}', code, date '-infinity', date 'infinity'
        from ({{ codes_of_minutes() }}) as c;
    {% endif -%}
    {{ take_changes() }};
    insert into {{ queue }} (consumer, code, first_date, last_date)
    select consumer, code, first_date, last_date
    from ({{ taken_changes() }}) as t
    cross join unnest(array['{{ longer | join("', '") }}']) as consumer
{%- endmacro %}
