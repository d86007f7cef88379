"""A load of the TDX source: which tasks there are, in which order, and how each runs.

    codes ▶ trading_calendar ▶ kline_daily · index_kline ▶ corporate_actions

The code list and the calendar are refreshed by every load: the others stand on them. A task is a
batch of codes of one exchange and what retry and progress count; it runs as slices, one package of
rows each. One code's failure is recorded against that code and stops nothing else.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, TypeVar

import pyarrow as pa

from loaders import jobs, trading_time
from loaders.errors import (
    DataQualityError,
    QuotemillError,
    SettingsError,
    UpstreamError,
    UsageError,
)
from loaders.jobs import Task
from loaders.run import Load, LoadRequest
from loaders.settings import Settings
from loaders.tdx import actions_load, calendar, codes, indices, klines, plan, rejects, waiting
from loaders.tdx.client import CODE, TdxClient
from loaders.tdx.codes import Security
from loaders.tdx.klines import Outcome, Window
from loaders.tdx.outage import ServiceGone
from loaders.tdx.schemas import INDEX_KLINE, KLINE_DAILY, REJECTED_ROW, SECURITY, TRADING_DAY
from loaders.tdx.waiting import Stopped
from loaders.warehouse.postgres import WarehouseAway
from loaders.warehouse.tables import Batch, LandedTable
from loaders.warehouse.upsert import COPY_ROWS

T = TypeVar("T")
NO_ACTIONS = (
    "no source of corporate actions is configured, so adjusted prices equal raw ones: "
    "set QUOTEMILL_TDX__CORPORATE_ACTIONS to a CSV file, a folder of them, or xdxr"
)


def missing_settings(settings: Settings) -> str | None:
    """Why this source cannot be loaded with these settings, or None."""
    return None if settings.tdx.base_url else "QUOTEMILL_TDX__BASE_URL is not set"


def check_request(settings: Settings, request: LoadRequest) -> None:
    """Raises UsageError, SettingsError for what can be known before anything is opened."""
    if missing := missing_settings(settings):
        raise SettingsError(
            f"no TDX service is configured: {missing}",
            hint="QUOTEMILL_TDX__BASE_URL=http://host:8080, or try `loaders sandbox tdx`",
        )
    unknown = [d for d in request.datasets or () if d not in plan.DATASETS]
    if unknown:
        raise UsageError(
            f"unknown dataset {', '.join(unknown)}", hint=f"datasets: {', '.join(plan.DATASETS)}"
        )
    malformed = [c for c in request.codes or () if not CODE.fullmatch(c)]
    if malformed:
        raise UsageError(f"not a code like sh600000: {', '.join(malformed)}")
    named_indices = [c for c in request.codes or () if c in settings.tdx.indices]
    if named_indices:
        raise UsageError(
            f"{', '.join(named_indices)}: an index, not a stock or fund",
            hint="`loaders run tdx --dataset index_kline`, without codes, loads the indices",
        )
    if request.codes is not None and indices.DATASET in (request.datasets or ()):
        raise UsageError(
            f"--codes and --dataset {indices.DATASET} exclude each other",
            hint="without --codes it loads the indices of the setting tdx.indices",
        )
    if request.since and request.until and request.since > request.until:
        raise UsageError("--since is later than --until")


def load(run: Load) -> None:
    """Run every task of the load. Outcomes are in the tasks; raises only what stops all of it."""
    with asyncio.Runner() as runner:
        client = TdxClient(run.settings.tdx, now=run.clock)
        try:
            _Tdx(run, runner, client).run()
        finally:
            runner.run(client.__aexit__(None, None, None))
        for name, count in sorted((client.unknown_fields + client.oddities).items()):
            run.warn(f"the service's answers: {name} ({count:,} times)")


@dataclass(frozen=True)
class _Bars:
    """A dataset of bars: where it lands, the route they come from, and how outcomes become rows."""

    table: LandedTable
    route: str
    rows: Callable[[Sequence[Outcome]], pa.Table]


_KLINES = _Bars(KLINE_DAILY, klines.ROUTE, klines.table)
_INDICES = _Bars(INDEX_KLINE, indices.ROUTE, indices.table)


class _Tdx:
    """The tasks of one load, sharing its client and event loop."""

    def __init__(self, run: Load, runner: asyncio.Runner, client: TdxClient) -> None:
        self.load, self.runner, self.client = run, runner, client
        self.settings = run.settings.tdx
        self.today = run.clock().astimezone(trading_time.SHANGHAI).date()

    def run(self) -> None:
        securities = self._codes()
        days = self._calendar()
        if self.load.stopping():
            return
        tasks = self._plan(securities)
        for dataset in dict.fromkeys(task.dataset for task in tasks):
            if dataset != actions_load.DATASET or self.settings.corporate_actions is not None:
                self.load.reporter.start(
                    dataset, sum(len(task.codes) for task in tasks if task.dataset == dataset)
                )
        for task in tasks:
            if self.load.stopping():
                break
            if task.dataset == klines.DATASET:
                self._klines(task, self._window(days))
            elif task.dataset == indices.DATASET:
                self._indices(task, self._window(days))
            else:
                self._corporate_actions(task)

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Raises Stopped."""
        return self.runner.run(waiting.until(work, self.load.cancelling))

    # -- the two that the others stand on ------------------------------------------------------

    def _codes(self) -> dict[str, Security]:
        task = self.load.add_task(codes.DATASET)
        before = self.load.warehouse.ask(codes.known)

        def batches() -> Iterator[Batch]:
            found = self._wait(codes.fetch(self.client, self.settings.indices, before))
            rows = codes.merge(found, before)
            task.done = len(found)
            before.update({s.code: s for s in rows})
            yield Batch(codes.table(rows, self.load.clock()), cursors={"all": self.today})

        self._whole(task, SECURITY, batches)
        return before

    def _calendar(self) -> list[date]:
        task = self.load.add_task(calendar.DATASET)
        days = self.load.warehouse.ask(calendar.stored)

        def batches() -> Iterator[Batch]:
            found = self._wait(calendar.fetch(self.client, days, self.load.clock()))
            task.done = len(found)
            days[:] = sorted({*days, *found})
            yield Batch(calendar.table(found, self.load.clock()), cursors={calendar.KEY: found[-1]})

        self._whole(task, TRADING_DAY, batches)
        return days

    def _whole(
        self, task: Task, table: LandedTable, batches: Callable[[], Iterator[Batch]]
    ) -> None:
        """Run a task that is one package. What was stored before serves the rest if it fails."""
        self.load.reporter.start(task.dataset, 1)
        task.status = "running"
        try:
            self.load.land(task, table, batches())
            task.status = "succeeded"
        except WarehouseAway:
            raise
        except Stopped:
            task.status = "cancelled"
        except (UpstreamError, DataQualityError) as error:
            self._fail(task, error)
            if isinstance(error, ServiceGone):
                self.load.gone = error
        self.load.reporter.advance(task.dataset, 1)
        jobs.save_task(self.load.warehouse, self.load.job_id, task)

    def _fail(self, task: Task, error: QuotemillError) -> None:
        """Record that a task failed as a whole."""
        task.status, task.failures = "failed", {"all": str(error)}
        hint = f" ({error.hint})" if error.hint else ""
        self.load.warn(f"{task.dataset}: {error}{hint}")

    # -- planning ------------------------------------------------------------------------------

    def _wanted_codes(self, securities: dict[str, Security]) -> list[str]:
        request = self.load.request
        loadable = [
            s.code for s in securities.values() if s.is_listed and s.instrument_type != "index"
        ]
        if request.codes is None and not loadable and set(plan.PER_CODE) & {*plan.chosen(request)}:
            raise UpstreamError(
                "no code is known, so nothing can be asked for",
                hint="the code list must load first: `loaders check tdx`",
            )
        if request.codes is None:
            return sorted(c for c in loadable if request.exchange in (None, c[:2]))
        if not loadable:  # the list failed and nothing is stored: the user's word must do
            return sorted(request.codes)
        unknown = sorted(set(request.codes) - set(loadable))
        if unknown:
            task = self.load.add_task("unknown_codes", unknown)
            task.status = "failed"
            task.failures = dict.fromkeys(unknown, "not in the service's code list")
            jobs.save_task(self.load.warehouse, self.load.job_id, task)
            self.load.warn(f"not in the service's code list: {', '.join(unknown)}")
        return sorted(set(request.codes) - set(unknown))

    def _plan(self, securities: dict[str, Security]) -> list[Task]:
        """The tasks after the first two, recorded as pending."""
        wanted = self._wanted_codes(securities)
        units = plan.of_job(self.load.retried) if self.load.retried is not None else None
        if units is None:
            units = plan.of_request(self.load.request, wanted, self.settings)
        return [self.load.add_task(dataset, batch, exchange) for dataset, exchange, batch in units]

    def _window(self, days: Sequence[date]) -> Window:
        due = trading_time.newest_final(days, self.load.clock())
        if due is None:
            raise UpstreamError(
                "no trading day is known, so no bar can be due",
                hint="the trading calendar must load first: `loaders check tdx`",
            )
        known = set(days)
        published = set(trading_time.published_days(days[0], max(days[-1], self.today)))

        def closed(day: date) -> bool:
            # two witnesses: either calendar alone can have a hole
            return days[0] <= day <= days[-1] and day not in known and day not in published

        request = self.load.request
        return Window(
            days=days,
            due=due,
            overlap=self.settings.overlap,
            closed=closed,
            today=self.today,
            since=request.since,
            until=request.until,
            whole=request.mode == "init",
        )

    # -- the datasets with one cursor for each code ---------------------------------------------

    def _klines(self, task: Task, window: Window) -> None:
        def outcomes(batch: Sequence[str]) -> AsyncIterator[Outcome]:
            tails = self.load.warehouse.ask(
                lambda conn: klines.stored_tails(conn, batch, window.overlap)
            )
            cursors = self.load.cursors(KLINE_DAILY.name)
            return klines.fetch(
                self.client, batch, window, cursors, tails, self.settings.concurrency
            )

        self._sliced(task, _KLINES, outcomes)

    def _indices(self, task: Task, window: Window) -> None:
        def outcomes(batch: Sequence[str]) -> AsyncIterator[Outcome]:
            cursors = self.load.cursors(INDEX_KLINE.name)
            return indices.fetch(self.client, batch, window, cursors, self.settings.concurrency)

        self._sliced(task, _INDICES, outcomes)

    def _sliced(
        self,
        task: Task,
        kind: _Bars,
        outcomes: Callable[[Sequence[str]], AsyncIterator[Outcome]],
    ) -> None:
        task.status = "running"
        jobs.save_task(self.load.warehouse, self.load.job_id, task)
        for batch in plan.slices(task.codes, self.settings.slice_size):
            if self.load.stopping():
                break
            before = task.done, task.skipped, dict(task.failures)
            stream = self._drain(task, outcomes(batch))
            batches = _batches(kind, task.dataset, stream, self.load.clock())
            try:
                self.load.land(task, kind.table, batches, REJECTED_ROW)
            except BaseException:  # what did not land is not done
                task.done, task.skipped, task.failures = before
                raise
        self._leave_rest(task)
        task.status = _status(task)
        jobs.save_task(self.load.warehouse, self.load.job_id, task)

    def _drain(self, task: Task, stream: AsyncIterator[Outcome]) -> Iterator[Outcome]:
        """Outcomes as they come, counted; ends early where the load is to stop."""
        while (outcome := self._next(stream)) is not None:
            self.load.reporter.advance(task.dataset, 1)
            if outcome.gone is not None:
                self.load.gone = outcome.gone
            if outcome.failure is not None:
                task.failures[outcome.code] = outcome.failure
                if outcome.gone is None:
                    self.load.reporter.line(f"{task.dataset} {outcome.code}: {outcome.failure}")
            elif outcome.skipped is not None:
                task.skipped += 1
                if outcome.skipped != klines.NOT_DUE:
                    self.load.warn(f"{task.dataset} {outcome.code}: {outcome.skipped}")
            else:
                task.done += 1
            yield outcome
            if self.load.gone is None and self.load.cancelling():
                break
        self.runner.run(waiting.close(stream))

    def _next(self, stream: AsyncIterator[Outcome]) -> Outcome | None:
        try:
            return self._wait(waiting.following(stream))
        except Stopped:
            return None

    def _leave_rest(self, task: Task) -> None:
        """Codes that were never reached because the service is gone fail, so that a retry has them."""
        if self.load.gone is None:
            return
        reached = task.done + task.skipped + len(task.failures)
        for code in task.codes[reached:]:
            task.failures[code] = str(self.load.gone)

    # -- corporate actions -----------------------------------------------------------------------

    def _corporate_actions(self, task: Task) -> None:
        source = self.settings.corporate_actions
        if source is None:
            task.status = "skipped"
            task.skipped = len(task.codes)
            self.load.warn(NO_ACTIONS)
            jobs.save_task(self.load.warehouse, self.load.job_id, task)
            return
        task.status = "running"
        try:
            actions_load.load(self.load, task, source)
            task.status = _status(task)
        except WarehouseAway:
            raise
        except (UpstreamError, DataQualityError, SettingsError) as error:
            self._fail(task, error)
            if isinstance(error, SettingsError):
                self.load.gone = error
        self.load.reporter.advance(task.dataset, len(task.codes))
        jobs.save_task(self.load.warehouse, self.load.job_id, task)


def _batches(
    kind: _Bars, dataset: str, outcomes: Iterator[Outcome], now: datetime
) -> Iterator[Batch]:
    """Rows of several codes at a time, so that memory is bounded by rows and not by codes."""
    held: list[Outcome] = []
    size = 0
    for outcome in outcomes:
        held.append(outcome)
        size += len(outcome.bars) if outcome.bars else 0
        if size >= COPY_ROWS:
            yield _batch(kind, dataset, held, now)
            held, size = [], 0
    if held:
        yield _batch(kind, dataset, held, now)


def _batch(kind: _Bars, dataset: str, held: Sequence[Outcome], now: datetime) -> Batch:
    with_bars = [o for o in held if o.bars]
    refused = [r for o in held for r in o.rejected]
    return Batch(
        rows=kind.rows(with_bars) if with_bars else None,
        rejected=rejects.table(dataset, refused, kind.route, now) if refused else None,
        cursors={o.code: o.cursor for o in held if o.cursor},
    )


def _status(task: Task) -> str:
    if task.done + task.skipped + len(task.failures) < len(task.codes):
        return "cancelled"
    if not task.failures:
        return "succeeded"
    return "partial" if task.done + task.skipped else "failed"
