{#
    The days of code c.code that a change on the days c.days may alter, by c.reach:

    day                     those days
    code                    the whole history
    week, month             the weeks or months that they lie in
    from_day, from_week, from_month
                            those and all after them
    sessions_beside         those days, and the sessions of NYSE before and after them
    next_bar                until the next bar on a trading day, whose previous close they are
    bars_after              until the fifth bar after them and the next bar on a trading day: a
                            check compares with the bar before, and whether five came before
    code_of_vendor          the whole history where the vendor's series has one of the days
    code_of_event           the whole history where an action is on or after the days: its ratio
                            comes from the last bar before it
#}
{% macro reached_days() -%}
    case c.reach
        when 'day' then c.days
        when 'code' then '(,)'::daterange
        when 'from_day' then daterange(lower(c.days), null)
        {% for period in ['week', 'month'] -%}
        when '{{ period }}' then daterange(
            date_trunc('{{ period }}', lower(c.days)::timestamp)::date,
            (
                date_trunc('{{ period }}', (upper(c.days) - 1)::timestamp)
                + interval '1 {{ period }}'
            )::date
        )
        when 'from_{{ period }}'
            then daterange(date_trunc('{{ period }}', lower(c.days)::timestamp)::date, null)
        {% endfor -%}
        {%- set follows = config.get('meta')['follows'].values() -%}
        {% if 'sessions_beside' in follows -%}
        {#- not by ref(): the model may read it through views alone -#}
        {%- set sessions = graph.nodes['model.' ~ project_name ~ '.stg_ib__session'] -%}
        when 'sessions_beside' then daterange(
            coalesce(
                (
                    select max(s.trade_date) from {{ sessions.relation_name }} as s
                    where s.trade_date < lower(c.days)
                ),
                lower(c.days)
            ),
            coalesce(
                (
                    select min(s.trade_date) + 1 from {{ sessions.relation_name }} as s
                    where s.trade_date >= upper(c.days)
                ),
                upper(c.days)
            )
        )
        {% endif -%}
        {% if 'next_bar' in follows -%}
        when 'next_bar' then daterange(
            lower(c.days),
            case when not upper_inf(c.days) then {{ next_traded_day() | indent(12) }} + 1 end
        )
        {% endif -%}
        {% if 'bars_after' in follows -%}
        when 'bars_after' then case when upper_inf(c.days) then c.days else daterange(
            lower(c.days),
            greatest(
                upper(c.days) - 1,
                (
                    select max(trade_date) from (
                        select b.trade_date from raw_tdx.kline_daily as b
                        where b.code = c.code and b.trade_date >= upper(c.days)
                        order by b.trade_date limit 5
                    ) as after
                ),
                {{ next_traded_day() | indent(16) }}
            ),
            '[]'
        ) end
        {% endif -%}
        {% if 'code_of_vendor' in follows -%}
        when 'code_of_vendor' then case when exists (
            select 1 from raw_tdx.kline_adjusted as v
            where
                v.code = c.code
                and v.trade_date >= coalesce(
                    (
                        select max(b.trade_date) from raw_tdx.kline_daily as b
                        where b.code = c.code and b.trade_date < lower(c.days)
                    ),
                    lower(c.days),
                    '-infinity'
                )
                and v.trade_date < coalesce(upper(c.days), 'infinity')
        ) then '(,)'::daterange end
        {% endif -%}
        {% if 'code_of_event' in follows -%}
        when 'code_of_event' then case when exists (
            select 1 from {{ ref('corporate_actions') }} as e
            where e.code = c.code and e.ex_date >= coalesce(lower(c.days), '-infinity')
        ) then '(,)'::daterange end
        {% endif -%}
    end
{%- endmacro %}

{# The day of the first bar of code c.code after the days c.days that is on a trading day. #}
{% macro next_traded_day() -%}
    (
        select b.trade_date from raw_tdx.kline_daily as b
        where
            b.code = c.code
            and b.trade_date >= upper(c.days)
            and {{ is_trading_day('b.trade_date') | indent(12) }}
        order by b.trade_date limit 1
    )
{%- endmacro %}
