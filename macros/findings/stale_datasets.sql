{# The findings about datasets of a source that are behind, by its freshness. #}
{% macro stale_datasets(freshness) -%}
select
    'stale_dataset' as check_name,
    'warning' as severity,
    dataset as subject,
    last_date as trade_date,
    coalesce(
        {{ say_count('trading day', 'lag_trading_days') }} || ' behind ',
        'nothing loaded, expected '
    )
    || expected_date || '; fix: run the command that `quotemill status` shows' as evidence
from {{ freshness }}
where is_stale
{%- endmacro %}
