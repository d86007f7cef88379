{# Whether a view is as `record_view` left it, of the same query and over the same columns. #}
{% macro is_recorded_view(existing, sql) -%}
    {{ return(
        run_query("
            select coalesce(
                obj_description(oid, 'pg_rewrite')
                = '" ~ local_md5(sql) ~ "' || ' ' || (" ~ view_state(existing) ~ "),
                false
            )
            from pg_rewrite
            where ev_class = '" ~ existing ~ "'::regclass and rulename = '_RETURN'
        ").rows[0][0]
    ) }}
{%- endmacro %}
