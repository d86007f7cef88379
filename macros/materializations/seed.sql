{#
    A table that equals its file, and is written only where the file says something else. dbt's own
    empties and fills it at each build. It stays the same relation, readers and all: new columns are
    added; those that are gone stay, empty.
#}
{% materialization seed, adapter='postgres' -%}
    {%- set existing = load_cached_relation(this) -%}
    {%- set target_relation = this.incorporate(type='table') -%}
    {%- set table = load_agate_table() -%}
    {%- do store_result('agate_table', response='OK', agate_table=table) -%}
    {%- set types, rows = seed_rows(table) -%}
    {%- set names = types.keys() | map('string') | join(', ') -%}
    {%- set given = seed_values(types, rows) -%}

    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}

    {%- set is_same = false -%}
    {%- if existing is none -%}
        {%- set columns = [] -%}
        {%- for name, type in types.items() -%}
            {%- do columns.append(name ~ ' ' ~ type) -%}
        {%- endfor -%}
        {%- do run_query('create table ' ~ this ~ ' (' ~ columns | join(', ') ~ ')') -%}
    {%- else -%}
        {%- set present = adapter.get_columns_in_relation(existing) -%}
        {%- set present = present | map(attribute='name') | list -%}
        {%- for name, type in types.items() if name not in present -%}
            {%- do run_query('alter table ' ~ existing ~ ' add column ' ~ name ~ ' ' ~ type) -%}
        {%- endfor -%}
        {%- set is_same = run_query("
            with given as (" ~ given ~ "),
            stored as (select " ~ names ~ " from " ~ existing ~ ")
            select not exists (
                (table given except all table stored) union all
                (table stored except all table given)
            )
        ").rows[0][0] -%}
    {%- endif -%}
    {% call statement('main') -%}
        {%- if is_same -%}
            select 1 where false
        {%- else -%}
            delete from {{ this }};
            insert into {{ this }} ({{ names }}) {{ given }}
        {%- endif -%}
    {%- endcall %}

    {{ return(finish_relation(target_relation)) }}
{%- endmaterialization %}

{#
    The columns of a seed with their types, and its rows.

    A file that users edit has the delimiter \x1f, which no line has: its columns are line and
    content, so that a wrong cell is for staging to judge (see seed_cells). dbt would stop at it,
    and all that reads the seed with it.
#}
{% macro seed_rows(table) -%}
    {%- if config.get('delimiter') != '\x1f' -%}
        {%- set types = {} -%}
        {%- for name in table.column_names -%}
            {%- do types.update({name: config.get('column_types', {}).get(
                name, adapter.convert_type(table, loop.index0)
            )}) -%}
        {%- endfor -%}
        {{ return((types, table.rows)) }}
    {%- endif -%}
    {%- set lines = [(1, table.column_names[0])] -%}
    {%- set at = namespace(line=2) -%}
    {%- for row in table.rows -%}
        {%- set content = (row[0] or '') | string | replace('\x00', '') -%}
        {%- if content | trim -%}{%- do lines.append((at.line, content)) -%}{%- endif -%}
        {#- a quote at the start of a line may hold the ends of lines -#}
        {%- set at.line = at.line + 1 + content.count('\n') -%}
    {%- endfor -%}
    {{ return(({'line': 'integer', 'content': 'text'}, lines)) }}
{%- endmacro %}

{# The rows of a seed as a query. #}
{% macro seed_values(types, rows) -%}
    {%- set kinds = types.values() | list -%}
    {%- set written = [] -%}
    {%- for row in rows -%}
        {%- set cells = [] -%}
        {%- for cell in row -%}
            {%- set text = 'null' -%}
            {%- if cell is not none -%}
                {%- set text = "'" ~ cell | string | replace("'", "''") ~ "'" -%}
            {%- endif -%}
            {%- do cells.append(text ~ '::' ~ kinds[loop.index0]) -%}
        {%- endfor -%}
        {%- do written.append('(' ~ cells | join(', ') ~ ')') -%}
    {%- endfor -%}
    {%- if written -%}{{ return('values ' ~ written | join(', ')) }}{%- endif -%}
    {{ return('select null::' ~ kinds | join(', null::') ~ ' where false') }}
{%- endmacro %}
