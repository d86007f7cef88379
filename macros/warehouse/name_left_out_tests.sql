{#
    At the start of a build or of tests with a selection: print the tests of selected models that
    are left out, as another relation that they read is neither selected nor above a selected one.
    Those of whole tables run on request.
#}
{% macro name_left_out_tests() -%}
    {%- if execute and flags.WHICH in ('build', 'test') and not invocation_args_dict.get('exclude')
        and not invocation_args_dict.get('exclude_resource_types') -%}
        {%- for node in graph.nodes.values()
            if node.resource_type == 'test' and node.unique_id not in selected_resources
            and node.attached_node in selected_resources and 'whole_tables' not in node.tags -%}
            {%- set others = [] -%}
            {%- for read in node.depends_on.nodes if read not in selected_resources -%}
                {%- do others.append(read.split('.') | last) -%}
            {%- endfor -%}
            {%- if others -%}
                {%- do log(
                    "left out: " ~ node.name ~ ", as " ~ others | join(', ')
                    ~ " is not selected; fix: add --indirect-selection eager", info=true
                ) -%}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}
