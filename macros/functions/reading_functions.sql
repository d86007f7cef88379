{#
    The functions read_findings and read_freshness: the rows of a check, and of a source's
    freshness.

    A value that a model cannot cast, a table that is gone or damaged, a missing privilege: such an
    error ends no query, but is a finding after the rows that came before it. A lock, a
    full disk or a conflict ends the query as ever, since these are not about what is read.
#}
{% macro reading_functions() -%}
{%- set schema = inner_schema() -%}
create or replace function {{ schema }}.read_findings(relation text)
returns table (check_name text, severity text, subject text, trade_date date, evidence text)
language plpgsql stable rows 20 as $body$
begin
    return query execute format(
        'select f.check_name, f.severity, f.subject, f.trade_date, f.evidence from %s as f',
        relation
    );
exception when others then
    if left(sqlstate, 2) in ('40', '53', '55') then
        raise;
    end if;
    return query select
        case sqlstate when '42P01' then 'check_not_built' else 'check_failed' end,
        'error',
        split_part(replace(relation, '"', ''), '.', 2),
        null::date,
        case sqlstate
            when '42P01' then 'a model that it reads failed: the build names it;'
                || ' fix: quotemill build'
            else format(
                'cannot be read: %s; fix: quotemill dbt test --select +%s names the model',
                sqlerrm, split_part(replace(relation, '"', ''), '.', 2)
            )
        end;
end
$body$;

create or replace function {{ schema }}.read_freshness(relation text)
returns table (
    dataset text,
    source text,
    last_date date,
    expected_date date,
    is_stale boolean,
    lag_trading_days integer
)
language plpgsql stable rows 20 as $body$
begin
    return query execute format(
        'select f.dataset, f.source, f.last_date, f.expected_date, f.is_stale, f.lag_trading_days'
        ' from %s as f',
        relation
    );
exception when others then
    if left(sqlstate, 2) in ('40', '53', '55') then
        raise;
    end if;
end
$body$;
{%- endmacro %}
