{#
    The name of a table that a build of this model works with, taken or differing: on nodes it is
    one of the inner schema, since Citus distributes no temporary table. It is dropped in the
    transaction that makes it.
#}
{% macro working_table(name, on_nodes=false) -%}
    {{ return(inner_schema() ~ '.' ~ name ~ '_' ~ model.name if on_nodes else name) }}
{%- endmacro %}
