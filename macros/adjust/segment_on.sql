{# The adjustment segment that the day of a code lies in, for a lateral join. #}
{% macro segment_on(code, trade_date) -%}
    select s.* from {{ ref('adjustment_segments') }} as s
    where s.code = {{ code }} and s.valid_from <= {{ trade_date }}
    order by s.valid_from desc
    limit 1
{%- endmacro %}
