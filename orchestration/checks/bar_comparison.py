"""Bars that a reconciliation compared, by check, and those that differ.

qa.reconciliation holds only differences, qa.reconciliation_counts the number of compared bars. A
check that is in neither compared nothing; it must not pass for one without differences.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

import psycopg
from psycopg.rows import class_row

from loaders.check import FINDING_VERDICTS, Check
from quotemill.wording import say_count

# dataset of the evidence by check and period of qa.reconciliation
CHECKS: dict[tuple[str, str], str] = {
    ("bars_of_minutes", "minute5"): "kline_5m",
    ("bars_of_minutes", "minute15"): "kline_15m",
    ("bars_of_minutes", "minute30"): "kline_30m",
    ("bars_of_minutes", "hour"): "kline_60m",
    ("bars_of_days", "week"): "kline_weekly",
    ("bars_of_days", "month"): "kline_monthly",
    ("adjusted_bars", "day"): "kline_adjusted",
}
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
    """Numbers of bars that one check compared, and of those that differ."""

    check_name: str
    period: str
    compared: int
    differing: int

    @property
    def agreeing(self) -> int:
        return self.compared - self.differing

    @property
    def check(self) -> Check:
        name = f"{self.check_name} {self.period}"
        if not self.compared:
            return Check(name, "unknown", "compared nothing")
        text = f"{self.agreeing:,} of {self.compared:,} bars agree"
        return Check(name, "warn" if self.differing else "ok", text)


@dataclass(frozen=True)
class Difference:
    """A row of qa.reconciliation: one field of one bar.

    Prices in yuan, volumes in shares.
    """

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


def read_bars(
    conn: psycopg.Connection,
    run_id: int,
    not_loaded: Mapping[str, Mapping[str, str]],
    *,
    qa: str = "qa",
) -> tuple[tuple[Comparison, ...], tuple[Difference, ...]]:
    """Read the comparisons and differences of a run from the schema `qa`.

    Evidence in `not_loaded` may still be stored from an earlier run. Its differences do not belong
    to this run, so they are left out.
    """
    with conn.cursor(row_factory=class_row(Difference)) as cursor:
        stored = cursor.execute(DIFFERENCES.format(qa=qa).encode(), (run_id,)).fetchall()
    counts = conn.execute(COUNTS.format(qa=qa).encode(), (run_id,)).fetchall()
    bars = {(check, period): n for check, period, n in counts}

    def is_current(difference: Difference) -> bool:
        dataset = CHECKS.get((difference.check_name, difference.period))
        return dataset is None or difference.code not in not_loaded.get(dataset, {})

    differences = tuple(d for d in stored if is_current(d))
    left_out = [d for d in stored if not is_current(d)]
    return compare(bars, differences, left_out), differences


def describe_cause(run_id: int, severity: str, cause: str, count: int, codes: list[str]) -> Check:
    """The check of the differences of a run that have one likely cause."""
    whose = codes[0] if len(codes) == 1 else f"{len(codes)} codes such as {codes[0]}"
    text = f"reconciliation {run_id}: {say_count(count, 'difference')} of {whose}: {cause}"
    verdict = FINDING_VERDICTS[severity]
    fix = "" if verdict == "ok" else "quotemill reconcile"
    return Check("reconciliation", verdict, text, fix, subject=cause)


def compare(
    bars: Mapping[tuple[str, str], int],
    differences: Sequence[Difference],
    left_out: Sequence[Difference] = (),
) -> tuple[Comparison, ...]:
    """Make one comparison per check; `bars` counts them by check and period."""
    comparisons = []
    for check, period in dict.fromkeys([*CHECKS, *bars]):
        compared = bars.get((check, period), 0) - _count_bars(left_out, check, period)
        differing = _count_bars(differences, check, period)
        comparisons.append(Comparison(check, period, compared=compared, differing=differing))
    return tuple(comparisons)


def _count_bars(differences: Iterable[Difference], check: str, period: str) -> int:
    """Number of bars of a check that differ in at least one field."""
    return len(
        {(d.code, d.bar_end) for d in differences if (d.check_name, d.period) == (check, period)}
    )
