{# The adjustment segment that the day of a code lies in, for a lateral join. #}
{% macro segment_on(code, trade_date) -%}
    select s.* from {{ ref('adjustment_segments') }} as s
    where s.code = {{ code }} and s.valid_from <= {{ trade_date }}
    order by s.valid_from desc
    limit 1
{%- endmacro %}

{#
    Whether an adjustment segment starts with the bar. `exists` checks it: the planner looks few
    bars up, and hashes many.
#}
{% macro starts_segment(bar) -%}
    exists (
        select 1 from {{ ref('adjustment_segments') }} as s
        where s.code = {{ bar }}.code and s.valid_from = {{ bar }}.trade_date
    )
{%- endmacro %}
