{#
    The price of the underlying of the quote `q` by the row `f` of options.forwards. A late price is
    of after hours while the quote is of the close: both are those of the forward.
#}
{% macro spot_of_forward(q, f) -%}
    case
        when {{ q }}.is_late_spot
            then coalesce({{ f }}.underlying_price::double precision, {{ q }}.spot)
        else coalesce({{ q }}.spot, {{ f }}.underlying_price::double precision)
    end
{%- endmacro %}

{# The forward at that price: the underlying moves while a slot is captured, and it with it. #}
{% macro forward_of_quote(q, f) -%}
    {{ f }}.forward * case
        when {{ q }}.is_late_spot then 1
        else coalesce({{ q }}.spot / {{ f }}.underlying_price::double precision, 1)
    end
{%- endmacro %}
