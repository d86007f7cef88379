{#
    Refuse a TimescaleDB whose columnstore has other names, as loaders/warehouse/timescale.py does.
#}
{% macro timescale__start_run() -%}
    {%- set old = run_query("
        select extversion
        from pg_extension
        where extname = 'timescaledb'
            and string_to_array(split_part(extversion, '-', 1), '.')::integer[]
                < array[2, 18, 0]
    ") -%}
    {%- for row in old -%}
        {{ exceptions.raise_compiler_error(
            "This warehouse has TimescaleDB " ~ row['extversion'] ~ ". The oldest"
            ~ " supported version is 2.18.0: older ones lack the columnstore functions."
            ~ " Install a newer version on the server, then run in psql -X:"
            ~ " alter extension timescaledb update"
        ) }}
    {%- endfor -%}
{%- endmacro %}

{# Nothing to do before a build: the macro of an edition that needs no check. #}
{% macro default__start_run() -%}{%- endmacro %}
