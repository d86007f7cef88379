-- the dataset of each source that is most trading days late; one whose lag is acknowledged, because
-- nobody loads it any more, does not count
select distinct on (f.source)
    f.source, f.dataset, f.last_date, f.expected_date,
    case when f.is_stale then f.lag_trading_days else 0 end as days,
    coalesce(
        string_agg(case when f.is_stale then f.dataset end, ' ') over (
            partition by f.source order by f.dataset
            rows between unbounded preceding and unbounded following
        ), ''
    ) as late
from {qa}.freshness as f
where f.last_date is not null
    and not exists (
        select 1 from ops.seen_findings as s
        where s.qa_schema = '{qa}' and s.check_name = 'stale_dataset' and s.subject = f.dataset
            and s.acknowledged_at is not null
    )
order by f.source, days desc, f.dataset
