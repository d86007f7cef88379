"""The record of self-tests and verifications in ops.testing_runs; testing_logs is a view of it."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import class_row, dict_row

from loaders.check import Check
from loaders.engine import metrics
from loaders.requests import counts as request_counts
from loaders.settings import Settings
from loaders.trading_time import format_time
from quotemill.errors import QuotemillError
from quotemill.warehouse.postgres import Warehouse
from quotemill.warehouse.schemas import has_relation

# words of ops.testing_logs by status of a check
WORDS = {"ok": "passed", "fail": "failed", "unknown": "skipped"}
VERDICTS = {word: verdict for verdict, word in WORDS.items()}
_RUN = (
    "run_id, source, kind, schedule, started_at, finished_at, base_url, status, total, passed, "
    "failed, skipped, options, detail"
)
_NEWEST = """
    select distinct on (r.source, r.kind)
        r.source, r.kind, r.run_id, r.started_at, r.status, r.failed, r.total, (
            select string_agg(l.no::text, ' ' order by l.no)
            from ops.testing_logs as l where l.run_id = r.run_id and l.status = 'failed'
        ) as numbers
    from ops.testing_runs as r order by r.source, r.kind, r.run_id desc
"""


@dataclass(frozen=True)
class Record:
    """A run to record, times in UTC.

    `kind` is selftest or verify, `status` passed, failed or error; `schedule` is the scheduled job
    that started it.
    """

    source: str
    kind: str
    status: str
    started_at: datetime
    finished_at: datetime
    base_url: str
    checks: Sequence[Check]
    options: Mapping[str, Any]
    detail: Mapping[str, Any]
    schedule: str | None = None

    def count(self, word: str) -> int:
        return sum(WORDS[check.verdict] == word for check in self.checks)

    def rows(self) -> list[dict[str, Any]]:
        """The checks as rows, with the columns of ops.testing_logs."""
        return [_describe(no, check) for no, check in enumerate(self.checks, 1)]


@dataclass(frozen=True)
class Newest:
    """The newest run of a kind with a source; `numbers` are those of the checks that failed."""

    source: str
    kind: str
    run_id: int
    started_at: datetime
    status: str
    failed: int
    total: int
    numbers: str | None

    @property
    def has_passed(self) -> bool:
        return self.status == "passed"

    def describe(self, zone: str) -> str:
        """What failed, in a line with the time of a zone."""
        at = format_time(self.started_at, zone, "minutes")
        text = f"{self.kind} {self.run_id} of {self.source}, {at}"
        if self.numbers is None:
            return f"{text}: {self.failed} of {self.total} checks failed"
        return f"{text}: {self.failed} of {self.total} checks failed (number {self.numbers})"


def record(
    settings: Settings,
    open_warehouse: Callable[[], Warehouse],
    run: Record,
    report: Callable[[str], object],
) -> int | None:
    """Record a run and its figures, return its number.

    None, and a line for people, if the warehouse does not take it.
    """
    try:
        run_id = open_warehouse().ask(lambda conn: save(conn, run), patient=False)
    except (QuotemillError, psycopg.Error) as error:
        report(f"not recorded in ops.testing_runs: {error}".strip())
        return None
    counts = {f"{status}_checks": run.count(status) for status in ("passed", "failed", "skipped")}
    seconds = round((run.finished_at - run.started_at).total_seconds(), 2)
    requests = request_counts.counted()  # the process does nothing else
    figures = {"seconds": seconds, **counts, **requests}
    metrics.record(settings, metrics.measure_stage(run.kind, run.source, figures))
    report(f"recorded as run {run_id} of ops.testing_runs")
    return run_id


def save(conn: psycopg.Connection, record: Record) -> int:
    """Write a run with all its checks; returns its number."""
    [(run_id,)] = conn.execute(
        """
        insert into ops.testing_runs (
            source, kind, schedule, started_at, finished_at, base_url, status, total, passed,
            failed, skipped, options, detail, checks
        ) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) returning run_id
        """,
        (
            record.source,
            record.kind,
            record.schedule,
            record.started_at,
            record.finished_at,
            record.base_url,
            record.status,
            len(record.checks),
            *(record.count(status) for status in ("passed", "failed", "skipped")),
            _json(record.options),
            _json(record.detail),
            _json(record.rows()),
        ),
    )
    return int(run_id)


def list_runs(
    conn: psycopg.Connection,
    limit: int,
    since: datetime | None = None,
    until: datetime | None = None,
) -> list[dict[str, Any]]:
    """Recorded runs of all sources that started between two times, the newest first.

    None in a warehouse without the table.
    """
    if not has_relation(conn, "ops.testing_runs"):
        return []
    query = (
        f"select {_RUN} from ops.testing_runs "
        "where started_at between coalesce(%s::timestamptz, '-infinity') "
        "and coalesce(%s::timestamptz, 'infinity') order by run_id desc limit %s"
    )
    values = (since, until, limit)
    return conn.cursor(row_factory=dict_row).execute(query.encode(), values).fetchall()


def read_run(
    conn: psycopg.Connection, run_id: int
) -> tuple[dict[str, Any], list[dict[str, Any]]] | None:
    """A recorded run with its checks as `Record.rows` has them; None for an unknown number."""
    if not has_relation(conn, "ops.testing_runs"):
        return None
    cursor = conn.cursor(row_factory=dict_row)
    query = f"select {_RUN}, checks from ops.testing_runs where run_id = %s".encode()
    run = cursor.execute(query, (run_id,)).fetchone()
    if run is None:
        return None
    return run, [_read_row(row) for row in run.pop("checks")]


def _describe(no: int, check: Check) -> dict[str, Any]:
    return {
        "no": no,
        **check.as_json(),
        "status": WORDS[check.verdict],
        "elapsed_ms": check.elapsed_ms,
        "reason": check.sentence or None,
        "evidence": check.figures,
    }


def _read_row(row: Mapping[str, Any]) -> dict[str, Any]:
    verdict, sentence = VERDICTS[row["status"]], row["reason"] or ""
    check = Check(
        row["name"],
        verdict,
        sentence,
        elapsed_ms=row["elapsed_ms"],
        figures=row["evidence"],
    )
    return _describe(row["no"], check)


def read_newest(conn: psycopg.Connection) -> list[Newest]:
    """The newest run of each source and kind; none in a warehouse without the table."""
    if not has_relation(conn, "ops.testing_runs"):
        return []
    with conn.cursor(row_factory=class_row(Newest)) as cur:
        return cur.execute(_NEWEST).fetchall()


def _json(value: object) -> str:
    # PostgreSQL's jsonb cannot hold a NUL
    return json.dumps(value, ensure_ascii=False, default=str).replace("\\u0000", "\\ufffd")
