"""Ticks of contract-days from several clients at once, in the order asked for."""

import queue
import threading
from collections.abc import Generator, Sequence
from datetime import date
from itertools import groupby

from loaders.tq.client.answers import DayRange, TickAnswer
from loaders.tq.context import Context
from loaders.tq.errors import TqAnswerError, TqClientError, TqTimeout, TqTransport
from loaders.tq.tick_days.schedule import Scheduled
from loaders.tq.trading_day import bounds
from quotemill.errors import DataQualityError, UpstreamError
from quotemill.ticks.columns import DayKey

DAY_ERRORS = (TqAnswerError, TqClientError, TqTimeout)
Answers = queue.SimpleQueue[TickAnswer | Exception]
WINDOW_KEYS = 300  # answers of a window, some 2 MB each: a file until their day is written


class NotAsked(UpstreamError):
    """A day that was not asked for, because of others."""


def fetch_days(
    ctx: Context, days: Sequence[Scheduled]
) -> Generator[tuple[Scheduled, TickAnswer | Exception]]:
    """An answer, or the error instead, for each day, in their order: that of trading days.

    Days are fetched by windows of a few trading days, the next one while the caller uses one. Each
    group of days of one contract has a process. A failure of one day (DAY_ERRORS) is that day's,
    and the others are asked for; after two in a row, or any other error, all days left of the group
    get an error. Files of answers are kept (ctx.answers) until the caller deletes them.
    """
    windows = split_days(days, span=ctx.settings.days_per_process, most=WINDOW_KEYS)
    queues: dict[DayKey, Answers] = {}
    waiting: queue.SimpleQueue[tuple[list[Scheduled], Answers] | None] = queue.SimpleQueue()

    def start(number: int) -> None:
        for window in windows[number : number + 1]:
            for group in group_days(window, ctx.settings.concurrency):
                answers: Answers = queue.SimpleQueue()
                queues.update((day.key, answers) for day in group)
                waiting.put((group, answers))

    def work() -> None:
        while (item := waiting.get()) is not None and not ctx.halted.is_set():
            _fetch_group(ctx, *item)

    threads = [
        threading.Thread(target=work, name=f"ticks {n}", daemon=True)
        for n in range(min(ctx.settings.concurrency, len(days)))
    ]
    for thread in threads:
        thread.start()
    try:
        start(0)
        for number, window in enumerate(windows):
            start(number + 1)
            for day in window:
                yield day, queues.pop(day.key).get()
    except BaseException:  # a caller that reads no further ends the processes too
        ctx.halted.set()
        raise
    finally:
        for _ in threads:
            waiting.put(None)
        for thread in threads:
            thread.join()


def split_days(days: Sequence[Scheduled], *, span: int, most: int) -> list[list[Scheduled]]:
    """Days, which are in the order of trading days, in parts of `span` trading days at most.

    A part has at most so many days of all varieties, unless one trading day has more.
    """
    parts: list[list[Scheduled]] = []
    room = 0  # trading days that the last part still takes
    for _, same in groupby(days, key=lambda day: day.trading_day):
        added = list(same)
        if not room or len(parts[-1]) + len(added) > most:
            parts.append([])
            room = span
        parts[-1] += added
        room -= 1
    return parts


def group_days(days: Sequence[Scheduled], concurrency: int) -> list[list[Scheduled]]:
    """The days of each contract, long runs cut so that every process has some."""
    size = max(1, -(-len(days) // concurrency))
    groups = []
    in_order = sorted(days, key=lambda day: (day.symbol, day.contract, day.trading_day))
    for _, run in groupby(in_order, key=lambda day: (day.symbol, day.contract)):
        contract_days = list(run)
        groups += [contract_days[n : n + size] for n in range(0, len(contract_days), size)]
    return groups


class _OrderedAnswers:
    """The answers for the days of a group, passed on in the order of the days."""

    def __init__(self, group: Sequence[Scheduled], answers: Answers) -> None:
        self._queue, self._waiting = answers, [day.trading_day for day in group]
        self._answers: dict[date, TickAnswer | Exception] = {}

    def __contains__(self, day: Scheduled) -> bool:
        return day.trading_day in self._answers

    def put(self, day: date, answer: TickAnswer | Exception) -> None:
        self._answers[day] = answer
        while self._waiting and self._waiting[0] in self._answers:
            self._queue.put(self._answers[self._waiting.pop(0)])

    def end(self, error: Exception) -> None:
        """Give every day that is left the same error."""
        for day in list(self._waiting):
            if day not in self._answers:
                self.put(day, error)


def _fetch_group(ctx: Context, group: Sequence[Scheduled], answers_queue: Answers) -> None:
    """Put one answer or error for each day of the group, in every case.

    The client may report a day as empty only after others: where one of those failed first, the day
    is asked for once more, after those that were not reached.
    """
    answers, heard, in_a_row = _OrderedAnswers(group, answers_queue), set[Scheduled](), 0
    try:
        ranges = {day: span for day in group if (span := _range(ctx, day, answers))}
        left = list(ranges)
        while left:
            try:
                asked = [ranges[day] for day in left]
                for answer in ctx.harvest.ticks(left[0].contract, asked):
                    filed = ctx.answers.keep(left[0].contract, answer)
                    answers.put(answer.trading_day, filed)
                return
            except DAY_ERRORS as error:
                at = next(
                    (n for n, d in enumerate(left) if d.trading_day == error.trading_day), None
                )
                if at is None:  # before the first day was asked for
                    raise _group_error(error, str(error)) from error
                in_a_row = 1 if set(left[:at]) - heard else in_a_row + 1
                heard.update(left[:at])
                answers.put(left[at].trading_day, error)
                if in_a_row == 2:
                    raise _group_error(error, f"{error}, on two days in a row") from error
                left = sorted((d for d in left if d not in answers), key=lambda day: day in heard)
    except BaseException as error:
        answers.end(error if isinstance(error, Exception) else RuntimeError(str(error)))


def _range(ctx: Context, day: Scheduled, answers: _OrderedAnswers) -> DayRange | None:
    """The range to ask for; None for a day that has an answer.

    That of an earlier load, or an error where the calendar lacks it.
    """
    if known := ctx.answers.find(day.contract, day.trading_day):
        answers.put(day.trading_day, known)
        return None
    try:
        return DayRange(day.trading_day, *bounds(day.trading_day, ctx.days))
    except DataQualityError as error:
        answers.put(day.trading_day, NotAsked(str(error)))
        return None


def _group_error(error: UpstreamError, why: str) -> UpstreamError:
    """The error of the days left in a group: servers that are silent are gone."""
    return (TqTransport if isinstance(error, TqTimeout) else NotAsked)(why, hint=error.hint)
