{#
    Segments that skip a number, overlap, hold a trading day that the schedule lacks, or follow one
    of the same contract without a day between.
#}
{% test segments_are_contiguous(model) %}
    with numbered as (
        select
            trading_day,
            row_number() over (order by trading_day) as day_number
        from {{ ref('stg_tq__trading_day') }}
    ),

    spans as (
        select
            s.*,
            f.day_number as first_number,
            l.day_number as last_number,
            lag(l.day_number) over (partition by s.variety order by s.segment_id) as prev_number,
            lag(s.underlying_contract) over (partition by s.variety order by s.segment_id)
                as contract_before,
            row_number() over (partition by s.variety order by s.segment_id) as ordinal
        from {{ model }} as s
        left join numbered as f on s.first_trading_day = f.trading_day
        left join numbered as l on s.last_trading_day = l.trading_day
    )

    select * from spans
    where
        segment_id <> ordinal
        or trading_day_count is distinct from last_number - first_number + 1
        or first_number <= prev_number
        or prev_contract is distinct from contract_before
        or (first_number = prev_number + 1 and underlying_contract = contract_before)
{% endtest %}
