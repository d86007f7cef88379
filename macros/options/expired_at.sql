{#
    When an option of the day `expiry` ends: the close of that session. Options expire years ahead
    of the landed sessions, so the three early closes of NYSE's year are a rule: the Friday after
    Thanksgiving, the day before Christmas, and that before Independence Day.
#}
{% macro expired_at(expiry) -%}
    (
        {{ expiry }} + case
            when
                to_char({{ expiry }}, 'MM-DD') in ('07-03', '12-24')
                or (
                    to_char({{ expiry }}, 'MM-DD') between '11-23' and '11-29'
                    and extract(isodow from {{ expiry }}) = 5
                )
                then time '13:00'
            else time '16:00'
        end
    ) at time zone 'America/New_York'
{%- endmacro %}
