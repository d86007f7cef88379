{# Refuse a TimescaleDB whose columnstore has other names; loaders/warehouse/timescale.py says the same. #}
{% macro refuse_old_timescale() -%}
    {%- if execute -%}
        {%- set old = run_query("
            select extversion
            from pg_extension
            where extname = 'timescaledb'
                and string_to_array(split_part(extversion, '-', 1), '.')::integer[] < array[2, 18, 0]
        ") -%}
        {%- for row in old -%}
            {{ exceptions.raise_compiler_error(
                "This warehouse has TimescaleDB " ~ row['extversion'] ~ "; 2.18.0 is the oldest that serves:"
                ~ " older ones do not have the columnstore's functions. Install a newer version on its server,"
                ~ " then in a session of psql -X: alter extension timescaledb update"
            ) }}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}
