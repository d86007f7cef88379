"""What a reconciliation compared: bars that both sides have, by check, and which of them differ.

qa.reconciliation holds differences alone, qa.reconciliation_counts how many bars were compared. A
check of which neither knows anything compared nothing: it must not pass for one that found nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

import psycopg
from psycopg.rows import class_row

# check and period of qa.reconciliation, and the dataset that its evidence comes from
CHECKS: dict[tuple[str, str], str | None] = {
    ("bars_of_minutes", "minute5"): "kline_5m",
    ("bars_of_minutes", "minute15"): "kline_15m",
    ("bars_of_minutes", "minute30"): "kline_30m",
    ("bars_of_minutes", "hour"): "kline_60m",
    ("bars_of_days", "week"): "kline_weekly",
    ("bars_of_days", "month"): "kline_monthly",
    ("bars_of_days", "day"): "vipdoc_daily",
    ("day_of_minutes", "minute1"): None,
    ("day_of_ticks", "tick"): None,
    ("adjusted_bars", "day"): "kline_adjusted",
}
DAY_FILES = ("bars_of_days", "day")
COUNTS = """
    select check_name, period, compared_count from {qa}.reconciliation_counts where run_id = %s
"""
DIFFERENCES = """
    select
        check_name, severity, code, period, trade_date, bar_end, field, ours, theirs, difference,
        likely_cause, evidence
    from {qa}.reconciliation where run_id = %s
    order by likely_cause, code, check_name, period, bar_end, field
"""


@dataclass(frozen=True)
class Comparison:
    """What one check did: how many bars it compared, and how many of them differ."""

    check_name: str
    period: str
    compared: int
    differing: int

    @property
    def agreeing(self) -> int:
        return self.compared - self.differing


@dataclass(frozen=True)
class Difference:
    """One field of one bar, as qa.reconciliation has it. Prices in yuan, volumes in shares."""

    check_name: str
    severity: str
    code: str
    period: str
    trade_date: date
    bar_end: datetime
    field: str
    ours: Decimal | None
    theirs: Decimal | None
    difference: Decimal | None
    likely_cause: str
    evidence: str | None


def read(
    conn: psycopg.Connection,
    run_id: int,
    not_loaded: Mapping[str, Mapping[str, str]],
    *,
    with_day_files: bool,
    qa: str = "qa",
) -> tuple[tuple[Comparison, ...], tuple[Difference, ...]]:
    """What a run compared, and what differs, by the tables of schema `qa`.

    Evidence that did not come this time may still be stored from before: what it shows is no finding
    of this run, so it is left out. Day files are spoken of only where there are to be some.
    """
    with conn.cursor(row_factory=class_row(Difference)) as cursor:
        found = cursor.execute(DIFFERENCES.format(qa=qa).encode(), (run_id,)).fetchall()
    counts = conn.execute(COUNTS.format(qa=qa).encode(), (run_id,)).fetchall()
    bars = {(check, period): n for check, period, n in counts}

    def came(difference: Difference) -> bool:
        dataset = CHECKS.get((difference.check_name, difference.period))
        return dataset is None or difference.code not in not_loaded.get(dataset, {})

    kept = tuple(d for d in found if came(d))
    left_out = [d for d in found if not came(d)]
    return comparisons(bars, kept, left_out, with_day_files=with_day_files), kept


def comparisons(
    bars: Mapping[tuple[str, str], int],
    differences: Sequence[Difference],
    left_out: Sequence[Difference] = (),
    *,
    with_day_files: bool,
) -> tuple[Comparison, ...]:
    """One for each check, from how many bars each check and period compared."""
    made = []
    for check, period in dict.fromkeys([*CHECKS, *bars]):
        compared = bars.get((check, period), 0) - _bars(left_out, check, period)
        if (check, period) == DAY_FILES and not (with_day_files or compared):
            continue
        made.append(Comparison(check, period, compared, _bars(differences, check, period)))
    return tuple(made)


def _bars(differences: Iterable[Difference], check: str, period: str) -> int:
    """How many bars of a check differ in at least one field."""
    return len(
        {(d.code, d.bar_end) for d in differences if (d.check_name, d.period) == (check, period)}
    )
