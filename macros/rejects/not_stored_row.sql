{# Whether no row `k` of `relation` is the same (`is_same`) as the rejected row `r` of a dataset. #}
{% macro not_stored_row(dataset, relation, is_same) -%}
    {{ by_edition('not_stored_row')(dataset, relation, is_same) }}
{%- endmacro %}

{% macro default__not_stored_row(dataset, relation, is_same) -%}
    not exists (
        select 1 from {{ relation }} as k where r.dataset = '{{ dataset }}' and {{ is_same }}
    )
{%- endmacro %}
