{#
    volume_tolerance for a sum of ticks, which are in hands: on the STAR market and in Beijing
    single shares trade, and each tick can lose up to a hand.
#}
{% macro tick_tolerance(code, volume_shares, tick_count) -%}
    {{ volume_tolerance(volume_shares, 100) }}
    + case
        when {{ code }} like 'sh68%' or {{ code }} like 'bj%' then 100 * {{ tick_count }}
        else 0
    end
{%- endmacro %}
