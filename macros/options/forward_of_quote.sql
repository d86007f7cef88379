{#
    The price of the underlying and the forward of the quote `q` by the row `f` of options.forwards.
    The underlying moves while a slot is captured, and the forward with it. A late price is of after
    hours while the quote is of the close: both are those of the forward.
#}
{% macro spot_of_forward(q, f) -%}
    case
        when {{ q }}.is_late_spot
            then coalesce({{ f }}.underlying_price::double precision, {{ q }}.spot)
        else coalesce({{ q }}.spot, {{ f }}.underlying_price::double precision)
    end
{%- endmacro %}

{% macro forward_of_quote(q, f) -%}
    {{ f }}.forward * case
        when {{ q }}.is_late_spot then 1
        else coalesce({{ q }}.spot / {{ f }}.underlying_price::double precision, 1)
    end
{%- endmacro %}
