{# The findings about datasets of a source that are behind, by its freshness. #}
{% macro stale_datasets(freshness) -%}
select
    'stale_dataset' as check_name,
    'warning' as severity,
    dataset as subject,
    last_date as trade_date,
    coalesce(
        lag_trading_days
        || case lag_trading_days when 1 then ' trading day' else ' trading days' end || ' behind ',
        'nothing loaded; expected '
    )
    || expected_date || ': `quotemill status` says what to do' as evidence
from {{ freshness }}
where is_stale
{%- endmacro %}
