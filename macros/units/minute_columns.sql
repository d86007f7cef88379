{#
    Expressions by column for a landed minute in our units: for the staging view, and for continuous
    aggregates, which have to read the landed table itself.

    The service's decoder turns less than one hand into many: the turnover shows it. A file has the
    shares.
#}
{% macro minute_columns() -%}
    {%- set columns = {} -%}
    {%- for price in ['open', 'high', 'low', 'close'] -%}
        {%- do columns.update({price: in_yuan(price)}) -%}
    {%- endfor -%}
    {%- do columns.update({
        'volume_shares':
            'case when volume_unit = 1 then volume when ' ~ is_decoded_minute()
            ~ ' then 0 else 100 * volume end',
        'amount_cny': '(amount * 0.001)::numeric(20, 3)',
        'is_price_only': 'amount is null',
        'source_minutes': '1',
    }) -%}
    {{ return(columns) }}
{%- endmacro %}

{#
    Whether the hands of a landed minute are an artefact of the decoder, by its turnover: it
    corrupts 1, 3, 4, 9-16 and 33-64 shares (see decoded_volume) before it divides by 100, which
    gives these numbers of hands.
#}
{% macro is_decoded_minute() -%}
    volume in (1, 2, 3, 4, 5, 7, 10, 12, 15, 18, 20, 40, 81, 327)
    and amount < 99::float8 * low * volume
{%- endmacro %}
