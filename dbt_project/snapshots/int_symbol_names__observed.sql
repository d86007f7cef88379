{#
    A name is as old as the answer that first had it: fetched_at moves only when a row differs. A
    code that an answer lacks stays in raw_tdx.security, so its name goes on. The code itself stands
    where an answer had no name.
#}
{% snapshot int_symbol_names__observed %}
{{ config(
    unique_key='code',
    strategy='check',
    check_cols=['name'],
    updated_at='fetched_at',
) }}

    select
        code,
        name,
        fetched_at
    from {{ ref('stg_tdx__security') }}
    where name not in ('', code, substr(code, 3))

{% endsnapshot %}
