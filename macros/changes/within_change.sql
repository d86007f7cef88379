{#
    Whether a row of `bars` lies within the days of a taken change `t`. By bar_end it is a range of
    the key (code, bar_end): from the first midnight of the exchange to the last.
#}
{% macro within_change(bars, column) -%}
    {%- if column == 'bar_end' -%}
    {{ bars }}.bar_end > t.first_date::timestamp at time zone 'Asia/Shanghai'
            and {{ bars }}.bar_end <= (t.last_date + 1)::timestamp at time zone 'Asia/Shanghai'
    {%- else -%}
    {{ bars }}.{{ column }} between t.first_date and t.last_date
    {%- endif -%}
{%- endmacro %}
