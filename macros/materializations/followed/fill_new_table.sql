{#
    Create the table of a model from the whole query, with the columns and types of its contract;
    then, in the same transaction, its constraints and indexes. An insert has no parallel plan, and
    maintaining a key row by row costs more than sorting once.
#}
{% macro default__fill_new_table(target_relation, sql) -%}
    {%- call statement('main') -%}
        create table {{ target_relation }} as {{ as_contracted(sql) }}
    {%- endcall -%}
    {%- do add_constraints(target_relation) -%}
    {%- do finish_new_table(target_relation) -%}
{%- endmacro %}

{# A hypertable on TimescaleDB, where meta.hypertable declares it. #}
{% macro timescale__fill_new_table(target_relation, sql) -%}
    {%- set wanted = (config.get('meta') or {}).get('hypertable') -%}
    {%- if not is_wanted_hypertable(wanted) -%}
        {{ return(default__fill_new_table(target_relation, sql)) }}
    {%- endif -%}
    {%- do create_empty_table(target_relation, sql) -%}
    {%- do run_query(
        "select create_hypertable('" ~ target_relation ~ "', by_range('" ~ wanted['time']
        ~ "', interval '" ~ wanted['chunk'] ~ "'), create_default_indexes => false)"
    ) -%}
    {%- call statement('main') -%}
        insert into {{ target_relation }} {{ as_contracted(sql) }}
    {%- endcall -%}
    {%- do add_constraints(target_relation) -%}
    {%- do finish_new_table(target_relation) -%}
{%- endmacro %}

{% macro create_empty_table(target_relation, sql) -%}
    {%- do run_query(
        "create table " ~ target_relation ~ " as " ~ as_contracted(sql) ~ " with no data"
    ) -%}
{%- endmacro %}

{#
    Indexes, one of the key among them, and statistics: the next models are planned before
    autovacuum gets here.
#}
{% macro finish_new_table(target_relation) -%}
    {%- do create_indexes(target_relation) -%}
    {%- if not has_unique_index(target_relation, key_columns()) -%}
        {%- do run_query(
            "create unique index on " ~ target_relation ~ " (" ~ key_columns() | join(', ') ~ ")"
        ) -%}
    {%- endif -%}
    {%- do run_query("analyze " ~ target_relation) -%}
{%- endmacro %}

{# The query with the columns of the model's contract; without a contract as it is. #}
{% macro as_contracted(sql) -%}
    {%- set typed = [] -%}
    {%- if config.get('contract').enforced -%}
        {%- for column in model.columns.values() -%}
            {%- do typed.append(column.name ~ '::' ~ column.data_type) -%}
        {%- endfor -%}
    {%- endif -%}
    select {{ typed | join(', ') or '*' }} from ({{ sql }}) as query
{%- endmacro %}

{#
    Add the constraints of the contract to a table that has its rows. A row that breaks one fails
    the model.
#}
{% macro add_constraints(relation) -%}
    {%- set clauses = [] -%}
    {%- if config.get('contract').enforced -%}
        {%- for column in model.columns.values() -%}
            {%- for constraint in column.constraints -%}
                {%- if constraint.type != 'not_null' -%}
                    {{ exceptions.raise_compiler_error(
                        constraint.type ~ " of " ~ column.name
                        ~ ": declare it among the model's constraints"
                    ) }}
                {%- endif -%}
                {%- do clauses.append("alter column " ~ column.name ~ " set not null") -%}
            {%- endfor -%}
        {%- endfor -%}
        {%- for constraint in adapter.render_raw_model_constraints(model.constraints) -%}
            {%- do clauses.append("add " ~ constraint) -%}
        {%- endfor -%}
    {%- endif -%}
    {%- if clauses -%}
        {%- do run_query("alter table " ~ relation ~ " " ~ clauses | join(', ')) -%}
    {%- endif -%}
{%- endmacro %}
