{#
    The hash of a segment of a main schedule, 16 hexadecimal digits: over the hash before it ('' for
    the first), its contract and its first trading day. So a longer window changes no existing hash,
    and a revision changes those from its segment on.
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
