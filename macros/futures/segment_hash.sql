{#
    The hash of a segment of a main schedule, over the one before ('' for the first) and its own
    contract and first trading day: 16 hexadecimal digits. So a longer window changes no hash that
    there is, and a revision changes those from its segment on.
#}
{% macro segment_hash(previous, variety, contract, first_day) -%}
    left(
        encode(
            sha256(
                convert_to(
                    {{ previous }} || '|' || {{ variety }} || '|' || {{ contract }}
                    || '|' || to_char({{ first_day }}, 'YYYYMMDD'),
                    'UTF8'
                )
            ),
            'hex'
        ),
        16
    )
{%- endmacro %}
