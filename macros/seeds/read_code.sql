{#
    The code of a stock or fund as people write it: sh600000, SH600000, SHSE.600000, 600000.SH,
    600000; null for another text. Six digits alone belong to one exchange, which their first digits
    tell of stocks and funds: an index has no corporate actions.
#}
{% macro read_code(text) -%}
    {%- set names = 'shse|sse|ss|sh|xshg|szse|sz|xshe|bjse|bse|bj' -%}
    {#- first the usual form, by a test that cuts out no parts: those take 50 times as long -#}
    case when {{ text }} ~ '^(sh|sz|bj)[0-9]{6}$' then {{ text }} else (
        select e.exchange || p.parts[2]
        from (
            select regexp_match(
                lower({{ text }}),
                '^(?:({{ names }})[._]?)?([0-9]{6})(?:[._]?({{ names }}))?$'
            ) as parts
        ) as p
        cross join lateral (
            select case
                when coalesce(p.parts[1], p.parts[3]) in ('shse', 'sse', 'ss', 'sh', 'xshg')
                    then 'sh'
                when coalesce(p.parts[1], p.parts[3]) in ('szse', 'sz', 'xshe') then 'sz'
                when coalesce(p.parts[1], p.parts[3]) is not null then 'bj'
                when p.parts[2] ~ '^(5|6|90)' then 'sh'
                when p.parts[2] ~ '^(0|1|2|3)' then 'sz'
                when p.parts[2] ~ '^(4|8|92)' then 'bj'
            end as exchange
        ) as e
        where p.parts[1] is null or p.parts[3] is null
    ) end
{%- endmacro %}
