{#
    A table that equals its file, and is written only where the file says something else. dbt's own
    empties and fills it at each build. It stays the same relation, readers and all: new columns are
    added; those that are gone stay, empty.
#}
{% materialization seed, adapter='postgres' -%}
    {%- set existing = load_cached_relation(this) -%}
    {%- set target_relation = this.incorporate(type='table') -%}
    {%- set types, rows, is_whole = seed_rows() -%}
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
        {%- if not is_whole -%}
            {%- do run_query(
                "create temporary table kept on commit drop as select line, content from "
                ~ existing ~ " where line > 0"
            ) -%}
            {%- set given = given ~ ' union all select line, content from kept' -%}
        {%- endif -%}
        {%- set is_same = run_query("
            with given as (" ~ given ~ "),
            stored as (select " ~ names ~ " from " ~ existing ~ ")
            select not exists (
                (select * from given except all select * from stored) union all
                (select * from stored except all select * from given)
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
    The columns of a seed with their types, its rows, and whether they are all that the table has.

    A file that users edit has the delimiter \x1f, which no line has: its columns are line and
    content, so that a wrong cell is for staging to judge (see seed_cells). dbt would stop at it,
    and all that reads the seed with it. Where its header lacks a column, a line 0 says which, and
    the lines of before stay.
#}
{% macro seed_rows() -%}
    {%- set table = load_agate_table() -%}
    {%- do store_result('agate_table', response='OK', agate_table=table) -%}
    {%- if config.get('delimiter') != '\x1f' -%}
        {%- set types = {} -%}
        {%- for name in table.column_names -%}
            {%- do types.update({name: config.get('column_types', {}).get(
                name, adapter.convert_type(table, loop.index0)
            )}) -%}
        {%- endfor -%}
        {{ return((types, table.rows, true)) }}
    {%- endif -%}
    {%- set types = {'line': 'integer', 'content': 'text'} -%}
    {%- set header = table.column_names[0] -%}
    {%- set names = [] -%}
    {%- for cell in header.split(',') -%}
        {%- do names.append(cell.strip(' \t\r\ufeff\u00a0\u3000"') | lower) -%}
    {%- endfor -%}
    {%- set lacking = [] -%}
    {%- for name in seed_header(model.name) if names.count(name) != 1 -%}
        {%- do lacking.append(name) -%}
    {%- endfor -%}
    {%- if lacking -%}
        {{ return((types, [(0, lacking | join(', '))], false)) }}
    {%- endif -%}
    {%- set lines = [] -%}
    {%- set at = namespace(line=1) -%}
    {%- for content in [header] + table.columns[0].values() | list -%}
        {#- a quote at the start of a line that ends nowhere takes the lines after it along -#}
        {%- for part in ((content or '') | string | replace('\x00', '')).split('\n') -%}
            {%- if part | trim -%}{%- do lines.append((at.line, part)) -%}{%- endif -%}
            {%- set at.line = at.line + 1 -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return((types, lines, true)) }}
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
