"""The tasks of a load: keys in, packages of rows out.

Retry and progress count tasks. A task lands as packages of at most `slice_size` keys, fewer where a
package is full (Load.room). The failure of one key is recorded for that key and stops nothing else;
keys that did not land are not done.
"""

import contextlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from loaders.engine.jobs import Task
from loaders.engine.outcome import NOT_DUE, Outcome, Stopped
from loaders.engine.source import Dataset, Source, Unit
from loaders.landing import rejects
from loaders.landing.emptied import list_emptied
from loaders.landing.rejects import Rejected
from loaders.landing.screening import screen
from loaders.landing.staging import COPY_ROWS
from loaders.landing.upsert import LINEAGE
from loaders.warehouse.tables import Batch, LandedTable
from quotemill.warehouse.postgres import WarehouseAway
from quotemill.wording import say_count

if TYPE_CHECKING:
    from loaders.engine.load import Load

FALLBACKS_LOGGED = 20  # different ones of a task
DAY_LENGTH = len("2024-06-28")
MOST_COMPARED = 20_000  # rows, such as all codes or days of an exchange


def run(load: "Load", source: Source[Any]) -> None:
    """Run every task of the load. Outcomes are in the tasks; raises only what stops the load."""
    load.reporter.step(f"connecting to {source.name}")
    _warn_of_emptied(load, source)
    with contextlib.suppress(Stopped), source.open(load) as context:
        for units in source.plan(context):
            tasks = [_add_task(load, source, unit) for unit in units]
            _announce(load, units)
            for unit, task in list(zip(units, tasks, strict=True)):
                if not load.stopping():
                    task.run(context)
                if unit.follow and not load.stopping() and (more := unit.follow()):
                    tasks.append(_add_task(load, source, more))
                    _announce(load, [more])
                    tasks[-1].run(context)
            if load.stopping():
                return


def _warn_of_emptied(load: "Load", source: Source[Any]) -> None:
    tables = {dataset.landed.qualified: dataset.landed for dataset in source.datasets}
    emptied = load.warehouse.ask(lambda conn: list_emptied(conn, tables.values()))
    for name, rows in emptied.items():
        load.warn(
            f"{name} is empty, although {rows:,} rows were loaded earlier: a normal load "
            "only brings back recent ones. fix: quotemill warehouse restore FILE, or "
            "reload full history (--mode init, or --since)"
        )


def _add_task(load: "Load", source: Source[Any], unit: Unit) -> "RunningTask":
    task = load.add_task(unit.dataset, unit.keys, unit.exchange)
    dataset, size = source.dataset(unit.dataset), source.slice_size(load.settings)
    return RunningTask(load, task, dataset, size, source.rejected)


def _announce(load: "Load", units: Sequence[Unit]) -> None:
    for dataset in dict.fromkeys(unit.dataset for unit in units):
        total = sum(len(unit.keys) for unit in units if unit.dataset == dataset)
        load.reporter.start(dataset, total)


@dataclass
class RunningTask:
    """One task while it runs, of at most `size` keys in a package.

    `fallbacks`, `skips` and `repeated` (failures) collect keys by reason, `open_rejections` the
    rows that earlier readings rejected, by table.
    """

    load: "Load"
    task: Task
    dataset: Dataset[Any]
    size: int
    rejects: LandedTable
    fallbacks: dict[str, list[str]] = field(default_factory=dict)
    skips: dict[str, list[str]] = field(default_factory=dict)
    repeated: dict[str, list[str]] = field(default_factory=dict)
    open_rejections: dict[str, list[Rejected]] = field(default_factory=dict)
    package: int = 0

    def run(self, context: Any) -> None:
        load, task = self.load, self.task
        task.status = "running"
        load.save(task)
        size = self.dataset.keys.most or self.size
        while (start := task.reached) < len(task.keys) and not load.stopping():
            outcomes = self.dataset.fetch(context, task.keys[start : start + size])
            try:
                while self._land_package(outcomes):  # one that is to stop hands over its rest
                    pass
            finally:
                _close(outcomes)
            if task.reached == start:  # stopped before the first answer
                break
        # keys without an answer fail, so that a retry includes them, unless the load was cancelled
        if load.gone is not None or not load.cancelling():
            why = str(load.gone or "the source returned no outcome for it")
            task.failures |= dict.fromkeys(task.keys[task.reached :], why)
        task.status = task.verdict
        load.save(task)
        self._report()
        load.end_task(task)

    def _land_package(self, outcomes: Iterator[Outcome]) -> bool:
        """Land outcomes up to a part, or all; whether more may follow."""
        load, task = self.load, self.task
        self.package += 1
        reads_files = self.size == sys.maxsize
        load.packages.begin(load.warehouse, self.dataset.landed, reads_files=reads_files)
        before = task.done, task.skipped, dict(task.failures), task.cursor
        parts: list[Outcome] = []
        try:
            self._land(self._batches(self._counted(outcomes, parts)))
        except BaseException:  # keys that did not land are not done
            task.done, task.skipped, task.failures, task.cursor = before
            raise
        return bool(parts)

    def _land(self, batches: Iterator[Batch]) -> None:
        """Land batches as one package, then count, publish and record it."""
        load, task, dataset = self.load, self.task, self.dataset
        stored = load.cursors(dataset.landed.name)
        first = next((batch for batch in batches if batch.changes(stored)), None)
        if first is None:
            self._publish()  # an interrupted load may have landed a package without publishing it
            return

        def confirmed() -> Iterator[Batch]:
            yield first
            yield from batches
            with contextlib.suppress(WarehouseAway):  # the package waits for it on disk
                load.lock.confirm()
            load.hold("landing", f"storing {say_count(load.packages.rows, 'row')}")

        load.warehouse.ask(lambda _: load.lock.confirm())
        try:
            landed = load.packages.land(
                load.warehouse, dataset.landed, confirmed(), self.rejects, dataset.beside
            )
        finally:
            load.hold("landing")
        task.rows_read += landed.read
        task.rows_new += landed.new
        task.rows_changed += landed.changed
        self._publish()

    def _publish(self) -> None:
        """Write the current cursors and the task, for people to read."""
        load, dataset = self.load, self.dataset
        stored = load.cursors(dataset.landed.name)
        own = {key: cursor for key, cursor in stored.items() if dataset.has_cursor(key)}
        load.packages.publish(load.warehouse, dataset.name, own, load.clock())
        load.save(self.task)

    def _counted(self, outcomes: Iterator[Outcome], parts: list[Outcome]) -> Iterator[Outcome]:
        """Pass outcomes on and count them; ends at a part, and where the load must stop."""
        load, task = self.load, self.task
        try:
            for outcome in outcomes:
                if outcome.is_part:
                    parts.append(outcome)
                    yield outcome
                    break
                load.reporter.advance(task.dataset, 1)
                if outcome.gone is not None:
                    load.give_up(outcome.gone)
                self._count(outcome)
                yield outcome
                if load.gone is None and load.cancelling():
                    break
        except Stopped:
            pass
        finally:
            if not parts:
                _close(outcomes)

    def _count(self, outcome: Outcome) -> None:
        load, task = self.load, self.task
        if outcome.fallback is not None:
            self.fallbacks.setdefault(outcome.fallback, []).append(outcome.key)
        if outcome.cursor is not None:
            task.cursor = {"key": outcome.key, "cursor": outcome.cursor, "package": self.package}
        if outcome.failure is not None:
            task.failures[outcome.key] = outcome.failure
            if outcome.gone is None and not self.dataset.keys.only:
                if outcome.failure in self.repeated:
                    self.repeated[outcome.failure].append(outcome.key)
                else:
                    load.reporter.line(f"{task.dataset} {outcome.key}: {outcome.failure}")
                    self.repeated[outcome.failure] = []
        elif outcome.skipped is not None:
            task.skipped += 1
            if outcome.skipped != NOT_DUE:
                self.skips.setdefault(outcome.skipped, []).append(outcome.key)
        else:
            task.done += 1

    def _batches(self, outcomes: Iterator[Outcome]) -> Iterator[Batch]:
        """Rows of several keys at a time, so that memory is bounded by rows and not by keys."""
        held: list[Outcome] = []
        size = 0
        for outcome in outcomes:
            held.append(outcome)
            rows = len(outcome.rows) if outcome.rows is not None else 0
            size += rows
            self.load.packages.rows += rows
            if size >= COPY_ROWS:
                yield self.batch(held)
                held, size = [], 0
        if held:
            yield self.batch(held)

    def batch(self, held: Sequence[Outcome]) -> Batch:
        """The batch of some outcomes. A key whose newest day was rejected keeps its old cursor."""
        dataset = self.dataset
        with_rows = [o for o in held if o.rows is not None and len(o.rows)]
        refused = [r for o in held for r in o.rejected]
        moved = {o.cursor_key or dataset.cursor_key(o.key): str(o.cursor) for o in held if o.cursor}
        rows = None
        read = self._complete(dataset.table(with_rows)) if with_rows else []
        if with_rows and not refused and self._are_landed(read):
            self.task.rows_read += len(read)
        elif with_rows:
            rows, unfit, its_rows = screen(read, dataset.landed)
            repaired = self._find_repaired(dataset.name, rows, dataset.landed)
            refused = _without_repeated([*unfit, *refused, *repaired])
            day = dataset.landed.day
            for row in its_rows:
                key = dataset.cursor_of(row)
                # a cursor starts with the day, and may continue
                if key in moved and (day is None or str(row.get(day)) >= moved[key][:DAY_LENGTH]):
                    del moved[key]
        beside, unfit_beside = self._beside(held)
        rejected = [self._rejected(dataset.name, refused)] if refused else []
        if unfit_beside and dataset.beside is not None:
            rejected.append(self._rejected(dataset.beside.name, unfit_beside))
        return Batch(
            rows=rows,
            rejected=pa.concat_tables(rejected) if rejected else None,
            beside=beside,
            cursors=moved,
        )

    def _are_landed(self, rows: Any) -> bool:
        """Whether these are records of a dataset that is read whole, and the table has them all.

        To land them would change nothing, and take a second.
        """
        dataset, load = self.dataset, self.load
        is_small = dataset.keys.only and isinstance(rows, list) and len(rows) <= MOST_COMPARED
        if not is_small or not load.cursors(dataset.landed.name):
            return False
        names = [name for name in dataset.landed.schema.names if name not in LINEAGE]
        query = f"select {', '.join(names)} from {dataset.landed.qualified}".encode()
        landed = set(load.warehouse.ask(lambda conn: conn.execute(query).fetchall()))
        read = {tuple(row.get(name) for name in names) for row in rows}
        # of a unit that is replaced as one, a row that is gone is a change
        is_same = read == landed if dataset.landed.whole else read <= landed
        return is_same and not self._read_rejections(dataset.name)

    def _beside(self, held: Sequence[Outcome]) -> tuple[pa.Table | None, list[Rejected]]:
        """Rows of the further table, and those of them that are rejected or withdrawn."""
        landed, records = self.dataset.beside, [row for o in held for row in o.beside]
        if landed is None or not records:
            return None, []
        rows, unfit, _ = screen(self._complete(records), landed)
        return rows, _without_repeated([*unfit, *self._find_repaired(landed.name, rows, landed)])

    def _complete(self, rows: Any) -> Any:
        """Records with the lineage that they lack: the dataset's route, now, final."""
        if isinstance(rows, pa.Table):
            return rows
        route, now = self.dataset.route, self.load.clock()
        lineage = {"source_route": route, "fetched_at": now, "is_final": True}
        return [lineage | row for row in rows]

    def _rejected(self, name: str, refused: Sequence[Rejected]) -> pa.Table:
        landed, now = self.rejects, self.load.clock()
        broken = [r.row_key for r in refused if not r.is_withdrawn]
        self.load.counts["refused"] += len(broken)
        self.task.rows_rejected += len(set(broken))
        return rejects.rejects_table(
            landed, name, refused, source_route=self.dataset.route, fetched_at=now
        )

    def _find_repaired(self, name: str, rows: pa.Table, landed: LandedTable) -> Iterator[Rejected]:
        return rejects.withdrawn(self._read_rejections(name), rows, landed.key, landed.whole)

    def _read_rejections(self, name: str) -> list[Rejected]:
        """Rows that earlier readings rejected under a name, and none accepted since."""
        if name not in self.open_rejections:
            load = self.load
            self.open_rejections[name] = load.warehouse.ask(
                lambda conn: rejects.open_rejects(conn, self.rejects, name)
            )
        return self.open_rejections[name]

    def _report(self) -> None:
        load, task = self.load, self.task
        if self.dataset.keys.only and load.gone is None:
            for failure in task.failures.values():
                load.warn(f"{task.dataset}: {failure}")
        for why, keys in self.repeated.items():
            if keys:
                more = f" and {len(keys) - 1:,} more" if len(keys) > 1 else ""
                load.reporter.line(f"{task.dataset} {keys[0]}{more}: {why}")
        for why, keys in self.skips.items():
            more = f" and {len(keys) - 1:,} more" if len(keys) > 1 else ""
            load.warn(f"{task.dataset} {keys[0]}{more}: {why}")
        if self.fallbacks:
            often = sorted(self.fallbacks.items(), key=lambda item: -len(item[1]))[
                :FALLBACKS_LOGGED
            ]
            detail = {why: {"times": len(keys), "keys": keys[:5]} for why, keys in often}
            times = sum(map(len, self.fallbacks.values()))
            load.counts["fallbacks"] += times
            event = f"{task.dataset}: another route was used {times:,} times"
            load.log("info", event, detail, task.task_no)


def _close(outcomes: Iterator[Outcome]) -> None:
    """End a generator, and with it the requests of it that are still running."""
    getattr(outcomes, "close", lambda: None)()


def _without_repeated(refused: Sequence[Rejected]) -> list[Rejected]:
    """One for each rule that a row breaks: what this reading refuses comes first."""
    return list({(r.row_key, r.field, r.rule): r for r in reversed(refused)}.values())
