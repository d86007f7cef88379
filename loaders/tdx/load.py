"""A load of the TDX source: which tasks there are, in which order, and how each runs.

    codes ▶ trading_calendar ▶ kline_daily · index_kline ▶ minutes, ticks, quotes … ▶ corporate_actions

The code list and the calendar are refreshed by every load but a realtime one: the others stand on
them. A task is a batch of codes of one exchange and what retry and progress count; it runs as
packages of rows. One code's failure is recorded against that code and stops nothing else.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from datetime import date, datetime
from typing import Any, TypeVar

from loaders import trading_time
from loaders.engine import jobs, rejects
from loaders.engine.checks import newest_fingerprint
from loaders.engine.jobs import Task
from loaders.engine.load import Load
from loaders.engine.outcome import NOT_DUE, Outcome
from loaders.engine.storable import screen
from loaders.engine.window import Window
from loaders.errors import DataQualityError, QuotemillError, SettingsError, UpstreamError
from loaders.tdx import plan, waiting
from loaders.tdx.dataset import Context, Dataset
from loaders.tdx.datasets import codes, corporate_actions, trading_calendar
from loaders.tdx.datasets.codes import Security
from loaders.tdx.request import check_request, missing_settings, queues, resolve, trading_days
from loaders.tdx.schemas import REJECTED_ROW, SECURITY, TRADING_DAY
from loaders.tdx.service.client import TdxClient
from loaders.tdx.service.outage import ServiceGone
from loaders.tdx.waiting import Stopped
from loaders.warehouse.postgres import WarehouseAway
from loaders.warehouse.tables import Batch, LandedTable
from loaders.warehouse.upsert import COPY_ROWS

__all__ = ["check_request", "load", "missing_settings", "queues", "resolve"]
T = TypeVar("T")
PACKAGE_ROWS = 2_000_000  # a package that has as many takes no further code
FALLBACKS_SAID = 20  # different ones in the log of a task
NOT_LISTED = "not in the service's code list (which never has B shares)"
NO_ACTIONS = (
    "no source of corporate actions is configured, so adjusted prices equal raw ones: "
    "set QUOTEMILL_TDX__CORPORATE_ACTIONS to a CSV file, a folder of them, or xdxr"
)


def load(run: Load) -> None:
    """Run every task of the load. Outcomes are in the tasks; raises only what stops all of it."""
    # revisions of the service differ; the newest self-test tells which one this was
    if fingerprint := run.warehouse.ask(newest_fingerprint):
        run.log("info", "newest self-test of the service", {"fingerprint": fingerprint})
    with asyncio.Runner() as runner:
        client = TdxClient(run.settings.tdx, now=run.clock)
        try:
            _Tdx(run, runner, client).run()
        finally:
            runner.run(client.__aexit__(None, None, None))
        for name, count in sorted((client.unknown_fields + client.oddities).items()):
            run.warn(f"the service's answers: {name} ({count:,} times)")


class _Tdx:
    """The tasks of one load, sharing its client and event loop."""

    def __init__(self, run: Load, runner: asyncio.Runner, client: TdxClient) -> None:
        self.load, self.runner, self.client = run, runner, client
        self.settings = run.settings.tdx
        self.began = run.clock()
        self.today = self.began.astimezone(trading_time.SHANGHAI).date()
        self.package_rows = 0

    def run(self) -> None:
        if self.load.request.mode == "realtime":
            days = trading_days(self.load.warehouse.ask(trading_calendar.stored), self.today)
            if self.today not in days:
                self.load.reporter.line(f"{self.today} is not a trading day: nothing to do")
                return
            securities = self.load.warehouse.ask(codes.known) or self._codes()
        else:
            securities = self._codes()
            days = self._calendar()
        if self.load.stopping():
            return
        tasks = self._plan(securities)
        for dataset in dict.fromkeys(task.dataset for task in tasks):
            if dataset != corporate_actions.DATASET or self.settings.corporate_actions is not None:
                self.load.reporter.start(
                    dataset, sum(len(task.codes) for task in tasks if task.dataset == dataset)
                )
        context = None
        for task in tasks:
            if self.load.stopping():
                break
            if task.dataset in plan.KEYED:
                context = context or self._context(days, securities)
                self._keyed(task, plan.KEYED[task.dataset], context)
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
        task = self.load.add_task(trading_calendar.DATASET)
        days = self.load.warehouse.ask(trading_calendar.stored)

        def batches() -> Iterator[Batch]:
            found = self._wait(trading_calendar.fetch(self.client, days, self.load.clock()))
            task.done = len(found)
            days[:] = sorted({*days, *found})
            yield Batch(
                trading_calendar.table(found, self.load.clock()),
                cursors={trading_calendar.KEY: found[-1]},
            )

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
        if request.codes is None and not loadable and {*plan.PER_CODE} & {*plan.chosen(request)}:
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
            task.failures = dict.fromkeys(unknown, NOT_LISTED)
            jobs.save_task(self.load.warehouse, self.load.job_id, task)
            self.load.warn(f"{', '.join(unknown)}: {NOT_LISTED}")
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

    def _context(self, days: Sequence[date], securities: dict[str, Security]) -> Context:
        return Context(
            client=self.client,
            settings=self.settings,
            window=self._window(days),
            securities=securities,
            mode=self.load.request.mode,
            began=self.began,
            clock=self.load.clock,
            ask=self.load.warehouse.ask,
            cursors=self.load.cursors,
            room=lambda: self.package_rows < PACKAGE_ROWS,
        )

    # -- the datasets with one cursor for each code ---------------------------------------------

    def _keyed(self, task: Task, dataset: Dataset, context: Context) -> None:
        task.status = "running"
        jobs.save_task(self.load.warehouse, self.load.job_id, task)
        fallbacks: dict[str, list[str]] = {}
        skips: dict[str, list[str]] = {}
        page = 0
        while (start := _reached(task)) < len(task.codes) and not self.load.stopping():
            page += 1
            self.package_rows = 0
            before = task.done, task.skipped, dict(task.failures), task.cursor
            batch = task.codes[start : start + self.settings.slice_size]
            stream = self._drain(task, dataset.fetch(context, batch), page, fallbacks, skips)
            try:
                self.load.land(
                    task,
                    dataset.landed,
                    self._batches(dataset, stream),
                    REJECTED_ROW,
                    dataset.has_cursor,
                )
            except BaseException:  # what did not land is not done
                task.done, task.skipped, task.failures, task.cursor = before
                raise
            if _reached(task) == start:  # stopped before the first answer
                break
        self._leave_rest(task)
        task.status = _status(task)
        jobs.save_task(self.load.warehouse, self.load.job_id, task)
        for why, keys in skips.items():
            more = f" and {len(keys) - 1:,} more" if len(keys) > 1 else ""
            self.load.warn(f"{task.dataset} {keys[0]}{more}: {why}")
        if fallbacks:
            often = sorted(fallbacks.items(), key=lambda item: -len(item[1]))[:FALLBACKS_SAID]
            detail = {why: {"times": len(keys), "codes": keys[:5]} for why, keys in often}
            times = sum(map(len, fallbacks.values()))
            event = f"{task.dataset}: {times:,} times another way was taken"
            self.load.log("info", event, detail, task.task_no)

    def _drain(
        self,
        task: Task,
        stream: AsyncIterator[Outcome],
        page: int,
        fallbacks: dict[str, list[str]],
        skips: dict[str, list[str]],
    ) -> Iterator[Outcome]:
        """Outcomes as they come, counted; ends early where the load is to stop.

        `fallbacks` and `skips` gather the codes of each reason.
        """
        while (outcome := self._next(stream)) is not None:
            self.load.reporter.advance(task.dataset, 1)
            if outcome.gone is not None:
                self.load.gone = outcome.gone
            if outcome.fallback is not None:
                fallbacks.setdefault(outcome.fallback, []).append(outcome.code)
            if outcome.cursor is not None:
                task.cursor = {"code": outcome.code, "date": outcome.cursor, "page": page}
            if outcome.failure is not None:
                task.failures[outcome.code] = outcome.failure
                if outcome.gone is None:
                    self.load.reporter.line(f"{task.dataset} {outcome.code}: {outcome.failure}")
            elif outcome.skipped is not None:
                task.skipped += 1
                if outcome.skipped != NOT_DUE:
                    skips.setdefault(outcome.skipped, []).append(outcome.code)
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

    def _batches(self, dataset: Dataset, outcomes: Iterator[Outcome]) -> Iterator[Batch]:
        """Rows of several keys at a time, so that memory is bounded by rows and not by keys."""
        held: list[Outcome] = []
        size = 0
        for outcome in outcomes:
            held.append(outcome)
            rows = len(outcome.rows) if outcome.rows is not None else 0
            size += rows
            self.package_rows += rows
            if size >= COPY_ROWS:
                yield batch_of(dataset, held, self.load.clock())
                held, size = [], 0
        if held:
            yield batch_of(dataset, held, self.load.clock())

    def _leave_rest(self, task: Task) -> None:
        """Codes that were never reached because the service is gone fail, so that a retry has them."""
        if self.load.gone is None:
            return
        for code in task.codes[_reached(task) :]:
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
            corporate_actions.load(self.load, task, source)
            task.status = _status(task)
        except WarehouseAway:
            raise
        except (UpstreamError, DataQualityError, SettingsError) as error:
            self._fail(task, error)
            if isinstance(error, SettingsError):
                self.load.gone = error
        self.load.reporter.advance(task.dataset, len(task.codes))
        jobs.save_task(self.load.warehouse, self.load.job_id, task)


def batch_of(dataset: Dataset, held: Sequence[Outcome], now: datetime) -> Batch:
    """What some outcomes land. A key whose newest day was refused keeps the cursor it had."""
    with_rows = [o for o in held if o.rows is not None and len(o.rows)]
    refused = [r for o in held for r in o.rejected]
    cursors = {dataset.cursor_key(o.code): o.cursor for o in held if o.cursor}
    rows = None
    if with_rows:
        rows, unfit, its_rows = screen(dataset.table(with_rows), dataset.landed)
        refused += unfit
        for row in its_rows:
            code = str(row.get("code"))
            for key in {code, f"{code} {row.get('period')}"} & {*cursors}:
                if str(row.get("trade_date")) >= str(cursors[key]):
                    del cursors[key]
    return Batch(
        rows=rows,
        rejected=rejects.table(dataset.name, refused, dataset.route, now) if refused else None,
        cursors=cursors,
    )


def _reached(task: Task) -> int:
    return task.done + task.skipped + len(task.failures)


def _status(task: Task) -> str:
    if _reached(task) < len(task.codes):
        return "cancelled"
    if not task.failures:
        return "succeeded"
    return "partial" if task.done + task.skipped else "failed"
