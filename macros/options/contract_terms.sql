{#
    The terms of contracts as of a day: those of stg_ib__contract (`k`) hold today, those of
    stg_ib__former_contract (`f`) before an action that left the contract its number.
#}
{% macro former_terms_joined(rows, day='trade_date') -%}
    left join {{ ref('stg_ib__former_contract') }} as f
        on
            {{ rows }}.conid = f.conid
            and f.valid_from <= {{ rows }}.{{ day }}
            and {{ rows }}.{{ day }} < f.valid_to
{%- endmacro %}

{# A term of a contract (`k`, `f`) on the day of the row: the former one, or today's. #}
{% macro contract_term(name) -%}
    (case when f.conid is null then k.{{ name }} else f.{{ name }} end)
{%- endmacro %}

{# What the contract of the row `q` was on its day. #}
{% macro contract_columns(q) -%}
    {{ contract_term('local_symbol') }} as local_symbol,
    {{ contract_term('trading_class') }} as trading_class,
    {{ contract_term('expiry') }} as expiry,
    {{ contract_term('expiry') }} - {{ q }}.trade_date as dte,
    k.option_right,
    {{ contract_term('strike') }} as strike,
    {{ contract_term('multiplier') }} as multiplier
{%- endmacro %}

{# The terms of the contract `c` that an action may change. #}
{% macro option_terms(c) -%}
    {{ c }}.{{ [
        'trading_class', 'expiry', 'strike', 'option_right', 'multiplier', 'local_symbol'
    ] | join(',\n    ' ~ c ~ '.') }}
{%- endmacro %}

{#
    Whether a contract delivers something else than 100 shares, or may: the clearing corporation
    adds a digit to the class of an adjusted series (2AAPL); other classes, such as the weekly ones
    of an index, are standard. The class of BRK B is BRKB.
#}
{% macro is_adjusted_series(c) -%}
    (
        {{ c }}.multiplier <> 100
        or (
            {{ c }}.trading_class ~ '[0-9]'
            and btrim({{ c }}.trading_class, '0123456789') = translate({{ c }}.symbol, ' .', '')
        )
    )
{%- endmacro %}
