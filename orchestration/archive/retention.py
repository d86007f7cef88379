"""Drop old slots whose archive file holds exactly what the warehouse has.

Required of each underlying and old day: it was built and has verdicts, its partitions are what the
ledger says, over all columns and row by row as landed, and its files have their size and hash. What
the models made of these slots stays (`keeps` in their meta), so each of these models must have read
them; the change feed gets the deletion. Another market schema that reads the same slots is not
asked: a restore brings them back.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

from loaders import log
from loaders.engine.progress import Reporter
from loaders.ib.tables import CHAIN_SNAPSHOT
from loaders.settings import Settings
from loaders.tq.tick_days.packing import PackedTicks
from loaders.warehouse.content import content_id, require_content
from orchestration.archive import closed, damage, landed, ledger, rows
from orchestration.archive.folder import Damaged
from orchestration.archive.ledger import Partition
from orchestration.archive.old_days import OldDays
from orchestration.archive.store import Archive, Result, open_archive
from orchestration.archive.views import find_view
from quotemill.errors import DataQualityError, PartialError, QuotemillError, most_severe
from quotemill.warehouse.postgres import Warehouse
from quotemill.warehouse.schemas import has_relation

VIEW = "chain_intraday"
# of a retention: the slots, the logs, or the ticks of futures
INTRADAY, ERRORS, TICKS = VIEWS = ("intraday", "errors", "ticks")
# models of slots, by their schema; int_option_days__counted follows them by its count
READERS = {
    "options": ("forwards", "chain_daily_clean"),
    "quotemill_intermediate": ("int_option_smiles__interpolated",),
}


@dataclass(frozen=True)
class DroppedDay:
    """The number of dropped underlyings and slot rows of a day."""

    day: date
    underlyings: int
    rows: int


@dataclass
class RetentionResult(Result):
    """The dropped rows and files, or those that a dry run would drop.

    remaining: old days and underlyings, and logs, that stay, with the reason
    damaged:   files that keep a day from being dropped
    restored:  restored partitions, which stay for a while
    logs:      log files; log_lines: lines of logs in the warehouse
    old_days:  tables whose days before a date were dropped by their `retain`
    tick_partitions, ticks: packed in QuestDB; None: not looked at
    failure:  what ended it after slots and logs were dropped
    """

    dry_run: bool
    before: date
    dropped: list[DroppedDay] = field(default_factory=list)
    remaining: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    restored: int = 0
    logs: list[str] = field(default_factory=list)
    logs_bytes: int = 0
    log_lines: int = 0
    old_days: dict[str, date] = field(default_factory=dict)
    tick_partitions: int = 0
    ticks: int | None = None
    failure: QuotemillError | None = None

    def add_days(self, tables: Sequence[OldDays]) -> None:
        """Add the tables whose days were dropped by `retain`, and those whose days stay."""
        for days in tables:
            if days.unread:
                self.remaining.append(
                    f"{days.table} before {days.before}: not read yet by "
                    f"{', '.join(days.unread)}; fix: quotemill build"
                )
            else:
                self.old_days[days.table] = days.before

    def add_ticks(self, packed: PackedTicks) -> None:
        """Add the partitions of ticks that were packed, and those that stay for damaged days."""
        self.tick_partitions, self.ticks = packed.days, packed.ticks
        self.damaged += [
            f"{key}: differs from its index; fix: loaders verify tq" for key in packed.damaged
        ]

    @property
    def rows(self) -> int:
        return sum(day.rows for day in self.dropped)

    @property
    def exit_code(self) -> int:
        return most_severe(
            [
                DataQualityError.exit_code if self.damaged else 0,
                PartialError.exit_code if self.remaining else 0,
                self.failure.exit_code if self.failure else 0,
            ]
        )

    def as_json(self) -> dict[str, Any]:
        failure = str(self.failure) if self.failure else None
        return super().as_json() | {"rows": self.rows, "failure": failure}


def retain(
    settings: Settings,
    warehouse: Warehouse,
    reporter: Reporter,
    as_of: datetime,
    *,
    dry_run: bool,
    older_than: int | None = None,
    view: str | None = None,
) -> RetentionResult:
    """Drop slots older than so many days (`intraday_retain_days`), and logs of errors.

    One of VIEWS may be named; `older_than` is that of the slots unless it is `errors`. A dry run
    checks everything, files included. Where option chains were never built there are no slots to
    drop; `intraday` raises UsageError then. Raises LockHeldError.
    """
    days_back = older_than or settings.ib.intraday_retain_days
    log_days = settings.log_days
    if view == ERRORS:
        days_back = log_days = older_than or log_days
    before = closed.today(as_of) - timedelta(days=days_back)
    result = RetentionResult(dry_run, before)
    qa = warehouse.inner_schema("qa")
    is_built = warehouse.ask(lambda conn: has_relation(conn, f"{qa}.qa_option_day"))
    if view == INTRADAY or (view is None and is_built):
        _drop_slots(settings, warehouse, reporter, as_of, result, days_back)
    if view in (None, ERRORS):
        _drop_logs(settings, warehouse, as_of, result, log_days)
    return result


def _drop_slots(
    settings: Settings,
    warehouse: Warehouse,
    reporter: Reporter,
    as_of: datetime,
    result: RetentionResult,
    days_back: int,
) -> None:
    before = result.before
    with open_archive(settings, warehouse, dry_run=result.dry_run) as archive:
        with warehouse.connect() as conn:
            closed.set_verdict_time(conn, warehouse, as_of)
            query = f"{closed.LANDED_DAYS} select day from landed where day < %s order by 1"
            days = [day for (day,) in conn.execute(query.encode(), (before,)).fetchall()]
        reporter.start(VIEW, len(days))
        work = _Retention(archive, as_of, result, timedelta(days=days_back))
        for day in days:
            work.drop_day(day)
            reporter.advance(VIEW, 1)


class _Retention:
    def __init__(
        self, archive: Archive, as_of: datetime, result: RetentionResult, stays: timedelta
    ) -> None:
        self._warehouse, self._folder = archive.warehouse, archive.folder
        self._schema, self._view = archive.schema, find_view(VIEW)
        self._as_of, self._result, self._stays = as_of, result, stays
        # a compacted file is read once for all of its days, as the ledger has it until a restore
        self._content = content_id(archive.warehouse)
        self._damage: dict[str, str | None] = {}

    def drop_day(self, day: date) -> None:
        """Drop what may be dropped of a day, in one transaction. Raises RestoredMeanwhile."""
        try:
            self._drop_checked(day)
        except psycopg.errors.SerializationFailure:
            self._result.remaining.append(f"{day}: being written, run again")

    def _drop_checked(self, day: date) -> None:
        with self._warehouse.connect() as conn:
            conn.execute("set transaction isolation level repeatable read")
            require_content(conn, self._content)
            closed.set_verdict_time(conn, self._warehouse, self._as_of)
            stored = _fetch_counts(
                conn,
                "select symbol, count(*) from raw_ib.chain_snapshot where trade_date = %s "
                "group by 1",
                day,
            )
            reasons = self._list_reasons(conn, day, stored)
            symbols = [symbol for symbol in stored if symbol not in reasons]
            changed = [symbol for symbol, why in reasons.items() if why == _CHANGED]
            self._result.remaining += [
                f"{day} {symbol}: {why}" for symbol, why in sorted(reasons.items()) if why
            ]
            count = sum(stored[symbol] for symbol in symbols)
            if not self._result.dry_run:
                ledger.mark_stale(conn, self._schema, VIEW, day, changed, stale=True)
                if symbols:
                    self._drop(conn, day, symbols, count)
            if symbols:
                self._result.dropped.append(DroppedDay(day, len(symbols), count))

    def _drop(
        self, conn: psycopg.Connection, day: date, symbols: Sequence[str], expected: int
    ) -> None:
        count = landed.delete(conn, CHAIN_SNAPSHOT, day, symbols)
        if count != expected:
            raise DataQualityError(
                f"{day}: {count:,} rows would be dropped, {expected:,} are archived: "
                "nothing was dropped"
            )
        # for every market schema
        conn.execute(
            "update ops.archive_partitions set dropped_at = %s, restored_at = null "
            "where view_name = %s and partition_date = %s and underlying = any(%s)",
            (self._as_of, VIEW, day, list(symbols)),
        )

    def _list_reasons(
        self, conn: psycopg.Connection, day: date, stored: Mapping[str, int]
    ) -> dict[str, str]:
        """Why underlyings of a day stay; an empty reason where that is expected."""
        archived: dict[str, list[Partition]] = {}
        for partition in ledger.find_partitions(conn, self._schema, VIEW, day=day):
            archived.setdefault(partition.underlying, []).append(partition)
        unread = _find_unread(conn, self._schema.removeprefix("options"), day, list(stored))
        qa = self._warehouse.inner_schema("qa")
        built = _fetch_counts(
            conn,
            f"select symbol, row_count from {qa}.qa_option_day as d "
            f"where trade_date = %s and {closed.JUDGED}",
            day,
        )
        reasons: dict[str, str] = {}
        for symbol, count in stored.items():
            restored = [p.restored_at for p in archived.get(symbol, []) if p.restored_at]
            if symbol not in archived:
                reasons[symbol] = "not archived; fix: quotemill archive"
            elif restored and max(restored) + self._stays > self._as_of:
                reasons[symbol] = ""
                self._result.restored += 1
            elif built.get(symbol) != count:
                reasons[symbol] = (
                    "not built from all its slots, or without verdict; fix: quotemill build"
                )
        symbols = [symbol for symbol in stored if symbol not in reasons]
        contents = rows.contents(conn, self._warehouse, self._view, day, symbols)
        lost = rows.count_lossy_rows(conn, self._warehouse, self._view, day, symbols)
        for symbol in symbols:
            recorded = {p.place: p.content for p in archived[symbol]}
            actual = {place: value for place, value in contents.items() if place[1] == symbol}
            if symbol in lost or actual != recorded:
                reasons[symbol] = _CHANGED
                continue
            if symbol in unread:
                reasons[symbol] = f"{unread[symbol]} was not built from them; fix: quotemill build"
                continue
            damaged = [self._find_damage(conn, partition) for partition in archived[symbol]]
            if any(damaged):
                reasons[symbol] = "its file is damaged"
        return reasons

    def _find_damage(self, conn: psycopg.Connection, partition: Partition) -> str | None:
        """Read the file of a partition; return what is wrong with it."""
        path, partitions = partition.path, [partition]
        if path not in self._damage:
            if partition.is_compacted:
                partitions = ledger.find_partitions(conn, self._schema, paths=[path])
            try:
                damage.check_contents(self._folder, partitions)
                self._damage[path] = None
            except Damaged as error:
                self._damage[path] = str(error)
                self._result.damaged.append(str(error))
        return self._damage[path]


def _fetch_counts(conn: psycopg.Connection, query: str, day: date) -> dict[str, int]:
    return dict(conn.execute(query.encode(), (day,)).fetchall())


def _find_unread(
    conn: psycopg.Connection,
    suffix: str,
    day: date,
    symbols: Sequence[str],
) -> dict[str, str]:
    """A model by symbol that has not read its slots of a day, by the model's cursor."""
    unread = conn.execute(
        """
        select s.symbol, min(r.reader)
        from unnest(%(symbols)s::text[]) as s (symbol)
        cross join unnest(%(readers)s::text[]) as r (reader)
        left join ops.change_cursors as k on r.reader = k.reader
        where k.seen is null
            or exists (
                select 1 from ops.changes as c
                where c.table_name = %(table)s
                    and c.key in (s.symbol, '')
                    and c.dates @> %(day)s::date
                    and c.xid >= pg_snapshot_xmin(k.seen)
                    and not pg_visible_in_snapshot(c.xid, k.seen)
            )
        group by 1
        """,
        {
            "symbols": list(symbols),
            "readers": [
                f"{schema}{suffix}.{name}" for schema, names in READERS.items() for name in names
            ],
            "table": CHAIN_SNAPSHOT.qualified,
            "day": day,
        },
    )
    return dict(unread.fetchall())


# the jobs themselves stay
_OLD_LINES = """
    {} from ops.ingestion_logs as l
    where l.logged_at < %s::timestamp at time zone 'UTC'
        and exists (
            select 1 from ops.ingestion_jobs as j where j.job_id = l.job_id and j.source = 'ib'
        )
"""
_CHANGED = "changed since it was archived; fix: quotemill archive"


def _drop_logs(
    settings: Settings,
    warehouse: Warehouse,
    as_of: datetime,
    result: RetentionResult,
    days_back: int,
) -> None:
    """Drop log files by the day in their name, and what loads logged in the warehouse. UTC days."""
    last = as_of.astimezone(UTC).date() - timedelta(days=days_back)
    with warehouse.connect() as conn:
        statement = _OLD_LINES.format("select" if result.dry_run else "delete")
        result.log_lines = conn.execute(statement.encode(), (last,)).rowcount
    for path in sorted((settings.home / "logs").glob("*-*")):
        day = log.file_day(path.name)
        if day is None or date.fromisoformat(day) >= last:
            continue
        try:
            size = _remove_file(path, result.dry_run)
        except FileNotFoundError:
            continue
        except OSError as error:
            result.remaining.append(f"{path}: {error.strerror}")
            continue
        result.logs.append(path.name)
        result.logs_bytes += size


def _remove_file(path: Path, dry_run: bool) -> int:
    size = path.stat().st_size
    if not dry_run:
        path.unlink()
    return size
