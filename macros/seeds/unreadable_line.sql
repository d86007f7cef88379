{#
    The first rule for a line of a seed that users edit, as a branch of `case`: dbt can read it. Its
    last cell, `remark`, says where it could not: see orchestration/run/seed_files.py.
#}
{% macro unreadable_line(remark) -%}
    when {{ remark }} ~ '^unreadable (line|header): '
        then array[substring({{ remark }}, '[a-z]+(?=: )'), split_part({{ remark }}, ': ', 2)]
{%- endmacro %}
