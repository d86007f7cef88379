{#
    The rows `k` of `relation` for the codes of the sample `s` that meet `condition`: by default
    those of the days compared.
#}
{% macro sample_rows(
    relation, condition='k.trade_date between s.first_date and s.last_date'
) -%}
    select
        s.run_id,
        s.first_date,
        s.last_date,
        k.*
    from {{ ref('int_reconcile__sample') }} as s
    {{ by_edition('joined_by_code')(relation, condition) }}
{%- endmacro %}

{# `offset 0` keeps the planner to one index scan per code. #}
{% macro default__joined_by_code(relation, condition) -%}
    cross join lateral (
        select * from {{ relation }} as k
        where k.code = s.code and {{ condition }}
        offset 0
    ) as k
{%- endmacro %}
