{#
    Trading days from a listing to a day, by the numbers that the calendar gives both. Null on a day
    before: then the day of the listing is wrong or not the first one, and the number would be of
    days that the calendar may get later.
#}
{% macro days_since_listing(day_number, list_day_number) -%}
    case
        when {{ day_number }} >= {{ list_day_number }}
            then {{ day_number }} - {{ list_day_number }}
    end
{%- endmacro %}
