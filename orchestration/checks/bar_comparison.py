"""Bars that a reconciliation compared, by check, and those that differ.

qa.reconciliation holds only differences, qa.reconciliation_counts the number of compared bars. A
check that is in neither compared nothing; it must not pass for one without differences.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import class_row, dict_row

from loaders.check import FINDING_VERDICTS, Check
from quotemill.wording import say_count

# checks and periods of a run; one without a row compared nothing
CHECKS = (
    ("bars_of_minutes", "minute5"),
    ("bars_of_minutes", "minute15"),
    ("bars_of_minutes", "minute30"),
    ("bars_of_minutes", "hour"),
    ("bars_of_days", "week"),
    ("bars_of_days", "month"),
    ("adjusted_bars", "day"),
)
COUNTS = """
    select check_name, period, compared_count as compared, differing_count as differing
    from {qa}.reconciliation_counts where run_id = %s
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
            return Check(name, "unknown", "nothing to compare")
        text = f"{self.agreeing:,} of {self.compared:,} bars agree"
        return Check(name, "warn" if self.differing else "ok", text)


def read_bars(
    conn: psycopg.Connection, run_id: int, *, qa: str = "qa"
) -> tuple[tuple[Comparison, ...], tuple[dict[str, Any], ...]]:
    """Read the comparisons of a run from the schema `qa`, and its rows of qa.reconciliation."""
    with conn.cursor(row_factory=class_row(Comparison)) as cursor:
        counts = cursor.execute(COUNTS.format(qa=qa).encode(), (run_id,)).fetchall()
    with conn.cursor(row_factory=dict_row) as cursor:
        stored = cursor.execute(DIFFERENCES.format(qa=qa).encode(), (run_id,)).fetchall()
    return list_comparisons(counts), tuple(stored)


def list_comparisons(counts: Iterable[Comparison]) -> tuple[Comparison, ...]:
    """A comparison for each check; `counts` has only those with bars."""
    nothing = {key: Comparison(*key, compared=0, differing=0) for key in CHECKS}
    return tuple((nothing | {(c.check_name, c.period): c for c in counts}).values())


def describe_cause(run_id: int, severity: str, cause: str, count: int, codes: list[str]) -> Check:
    """The check of the differences of a run that have one likely cause."""
    whose = codes[0] if len(codes) == 1 else f"{len(codes)} codes such as {codes[0]}"
    text = f"reconciliation {run_id}: {say_count(count, 'difference')} of {whose}: {cause}"
    verdict = FINDING_VERDICTS[severity]
    fix = "" if verdict == "ok" else "quotemill reconcile"
    return Check("reconciliation", verdict, text, fix, subject=cause)
