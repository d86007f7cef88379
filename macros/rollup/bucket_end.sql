{#
    The label of the bar of `minutes` minutes that contains a shorter bar with the label bar_end.

    Labels are ends of bars, so a minute earlier is inside: 11:30 belongs to the last bucket of the
    morning, 13:01 to the first of the afternoon; and so does 13:00 (05:00 UTC), which the source
    has at times beside 11:30. The exchange is whole hours from UTC, so buckets that divide an hour
    need no time zone; continuous aggregates require UTC's wall clock, the only immutable one.
#}
{% macro bucket_end(minutes) -%}
    (
        date_bin(
            '{{ minutes }} minutes',
            (bar_end at time zone 'UTC') - case
                when (bar_end at time zone 'UTC')::time = '05:00' then interval '0'
                else interval '1 minute'
            end,
            timestamp '2000-01-01'
        ) + interval '{{ minutes }} minutes'
    ) at time zone 'UTC'
{%- endmacro %}
