{#
    Create the table of an incremental model from the whole query, with the columns and types of its
    contract; then, in the same transaction, its constraints and indexes. An insert has no parallel
    plan, and maintaining a key row by row costs more than sorting once.
#}
{% macro fill_new_table(target_relation, sql) -%}
    {%- set rows = as_contracted(sql) -%}
    {%- set wanted = (config.get('meta') or {}).get('hypertable') -%}
    {%- if timescale_edition() != 'none' and is_wanted_hypertable(wanted) -%}
        {%- do run_query("create table " ~ target_relation ~ " as " ~ rows ~ " with no data") -%}
        {%- do make_hypertable(target_relation) -%}
        {%- set rows = 'insert into ' ~ target_relation ~ ' ' ~ rows -%}
    {%- elif should_distribute() -%}
        {%- do run_query("create table " ~ target_relation ~ " as " ~ rows ~ " with no data") -%}
        {%- do add_constraints(target_relation) -%}
        {%- do distribute_table(target_relation) -%}
        {%- set rows = 'insert into ' ~ target_relation ~ ' ' ~ rows -%}
    {%- else -%}
        {%- set rows = 'create table ' ~ target_relation ~ ' as ' ~ rows -%}
    {%- endif -%}
    {%- call statement('main') -%} {{ rows }} {%- endcall -%}
    {%- if not is_distributed(target_relation) -%}
        {%- do add_constraints(target_relation) -%}
    {%- endif -%}
    {%- do create_indexes(target_relation) -%}
    {#- the next models are planned before autovacuum gets here -#}
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
