{#
    Refuse a TimescaleDB whose columnstore has other names (loaders/warehouse/timescale.py does the
    same), and one in a schema outside the search path: our statements call its functions by their
    bare names.
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
            "This warehouse has TimescaleDB " ~ row['extversion'] ~ "; the oldest"
            ~ " supported version is 2.18.0: older ones lack the functions of the columnstore."
            ~ " Install a newer version on the server, then in psql -X:"
            ~ " alter extension timescaledb update"
        ) }}
    {%- endfor -%}
    {%- set hidden = run_query("
        select n.nspname
        from pg_extension as e
        inner join pg_namespace as n on e.extnamespace = n.oid
        where e.extname = 'timescaledb' and n.nspname <> all(current_schemas(true))
    ") -%}
    {%- for row in hidden -%}
        {{ exceptions.raise_compiler_error(
            "TimescaleDB is in the schema " ~ row['nspname']
            ~ ", outside the search path; fix: alter role "
            ~ target.user ~ ' set search_path = "$user", public, ' ~ row['nspname']
        ) }}
    {%- endfor -%}
{%- endmacro %}

{# Nothing to do before a build: the macro of an edition that needs no check. #}
{% macro default__start_run() -%}{%- endmacro %}
