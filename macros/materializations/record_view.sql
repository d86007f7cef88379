{#
    Keep in the comment of a view's rule which query made it, and what PostgreSQL stored: the next
    build need not ask whether they differ. The comment goes with the view.
#}
{% macro record_view(relation, sql) -%}
    {%- set state = run_query(view_state(relation)).rows[0][0] -%}
    {%- do run_query(
        "comment on rule \"_RETURN\" on " ~ relation ~ " is '" ~ local_md5(sql) ~ " " ~ state ~ "'"
    ) -%}
{%- endmacro %}
