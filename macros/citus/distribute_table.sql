{#
    Spread an empty table over the nodes by code, in the colocation group of all: the rows of
    a code are on one node in every table. loaders/warehouse/distribution.py does the same.
#}
{% macro distribute_table(table) -%}
    {%- do run_query(
        "select create_distributed_table('" ~ table ~ "', 'code', colocate_with => '"
        ~ distributed_codes() ~ "')"
    ) -%}
{%- endmacro %}
