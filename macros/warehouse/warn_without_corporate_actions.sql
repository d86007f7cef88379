{#
    Warn at the end of a run that without corporate actions adjusted prices equal raw ones; where
    there are day bars to adjust. Landed tables are not read here: one that cannot be read fails its
    models, but an error of a hook would fail the whole build.
#}
{% macro warn_without_corporate_actions() -%}
    {%- if execute and flags.WHICH in ('build', 'run') -%}
        {%- set known = run_query("
            select exists (select 1 from ops.ingestion_state where dataset = 'corporate_actions')
                or not exists (select 1 from ops.ingestion_state where dataset = 'kline_daily')
        ").rows[0][0] -%}
        {%- if not known -%}
            {%- do log(
                "No source of corporate actions: adjusted prices equal raw ones."
                ~ " Set QUOTEMILL_TDX__CORPORATE_ACTIONS to a CSV file or a folder of them,"
                ~ " run loaders run tdx --dataset corporate_actions, then build again.",
                info=true
            ) -%}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}
