"""Ticks of contract-days from several clients at once, in the order asked for."""

import queue
import threading
from collections.abc import Iterator, Sequence
from datetime import date
from itertools import groupby

from loaders.errors import DataQualityError, UpstreamError
from loaders.tq.client.answers import DayRange, TickAnswer
from loaders.tq.context import Context
from loaders.tq.errors import TqAnswerError, TqClientError, TqTimeout, TqTransport
from loaders.tq.tick_days.schedule import Scheduled
from loaders.tq.trading_day import bounds

DAY_ERRORS = (TqAnswerError, TqClientError, TqTimeout)
Answers = queue.SimpleQueue[TickAnswer | Exception]


class NotAsked(UpstreamError):
    """A day that was not asked for, because of others."""


def fetch_days(
    ctx: Context, days: Sequence[Scheduled]
) -> Iterator[tuple[Scheduled, TickAnswer | Exception]]:
    """An answer, or the error instead, for each day, in their order.

    Each group of days of one contract has a process. A failure of one day (DAY_ERRORS) is that
    day's, and the others are asked for; after two in a row, or any other error, all days left of
    the group get an error. The caller deletes the files of answers.
    """
    groups = group_days(days, ctx.settings.concurrency)
    queues: list[Answers] = [queue.SimpleQueue() for _ in groups]
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number in range(len(groups)):
        waiting.put(number)

    def work() -> None:
        while not ctx.halted.is_set():
            try:
                number = waiting.get_nowait()
            except queue.Empty:
                return
            _fetch_group(ctx, groups[number], queues[number])

    threads = [
        threading.Thread(target=work, name=f"ticks {n}", daemon=True)
        for n in range(min(ctx.settings.concurrency, len(groups)))
    ]
    for thread in threads:
        thread.start()
    try:
        for group, answers in zip(groups, queues, strict=True):
            for day in group:
                yield day, answers.get()
    except BaseException:  # a caller that reads no further ends the processes too
        ctx.halted.set()
        raise
    finally:
        for thread in threads:
            thread.join()


def group_days(days: Sequence[Scheduled], concurrency: int) -> list[list[Scheduled]]:
    """Runs of days of one contract, long ones cut so that every process has some."""
    size = max(1, -(-len(days) // concurrency))
    groups = []
    for _, run in groupby(days, key=lambda day: (day.symbol, day.contract)):
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
                    answers.put(answer.trading_day, answer)
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
    """The range to ask for; None, with an error, for a day that the calendar lacks."""
    try:
        return DayRange(day.trading_day, *bounds(day.trading_day, ctx.days))
    except DataQualityError as error:
        answers.put(day.trading_day, NotAsked(str(error)))
        return None


def _group_error(error: UpstreamError, why: str) -> UpstreamError:
    """The error of the days left in a group: servers that are silent are gone."""
    return (TqTransport if isinstance(error, TqTimeout) else NotAsked)(why, hint=error.hint)
