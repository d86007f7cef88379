"""Ticks of some contract-days by several processes of the client at once, in the order asked for."""

import queue
import threading
from collections.abc import Iterator, Sequence
from datetime import date
from itertools import groupby

from loaders.errors import DataQualityError, UpstreamError
from loaders.tq.client.answers import DayRange, TickAnswer
from loaders.tq.context import Context
from loaders.tq.errors import TqAnswerError, TqClientError, TqTimeout, TqTransport
from loaders.tq.tick_days.backlog import Scheduled
from loaders.tq.trading_day import bounds

OF_A_DAY = (TqAnswerError, TqClientError, TqTimeout)


class NotAsked(UpstreamError):
    """A day that was not asked for, because of others."""


def answers(
    run: Context, days: Sequence[Scheduled]
) -> Iterator[tuple[Scheduled, TickAnswer | Exception]]:
    """An answer, or why there is none, for each day, in their order.

    Each group of days of one contract has a process. What goes wrong with one day (OF_A_DAY) is that
    day's, and the others are asked for; on two in a row, or with anything else, all days left of the
    group get an error. Files of answers are deleted by who takes them.
    """
    held = groups(days, run.settings.concurrency)
    queues: list[queue.SimpleQueue[TickAnswer | Exception]] = [queue.SimpleQueue() for _ in held]
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number in range(len(held)):
        waiting.put(number)

    def work() -> None:
        while not run.halted.is_set():
            try:
                number = waiting.get_nowait()
            except queue.Empty:
                return
            _ask(run, held[number], queues[number])

    threads = [
        threading.Thread(target=work, name=f"ticks {n}", daemon=True)
        for n in range(min(run.settings.concurrency, len(held)))
    ]
    for thread in threads:
        thread.start()
    try:
        for group, told in zip(held, queues, strict=True):
            for day in group:
                yield day, told.get()
    except BaseException:  # whoever reads no further ends the processes too
        run.halted.set()
        raise
    finally:
        for thread in threads:
            thread.join()


class _Told:
    """What became of the days of a group, handed on in their order."""

    def __init__(
        self, group: Sequence[Scheduled], queue: "queue.SimpleQueue[TickAnswer | Exception]"
    ) -> None:
        self._queue, self._waiting = queue, [day.trading_day for day in group]
        self._found: dict[date, TickAnswer | Exception] = {}

    def __contains__(self, day: Scheduled) -> bool:
        return day.trading_day in self._found

    def put(self, day: date, answer: TickAnswer | Exception) -> None:
        self._found[day] = answer
        while self._waiting and self._waiting[0] in self._found:
            self._queue.put(self._found[self._waiting.pop(0)])

    def end(self, error: Exception) -> None:
        """The same of all that are left."""
        for day in list(self._waiting):
            if day not in self._found:
                self.put(day, error)


def _ask(
    run: Context, group: Sequence[Scheduled], queue_: "queue.SimpleQueue[TickAnswer | Exception]"
) -> None:
    """Put one answer or error for each day of the group, whatever happens.

    A day that was heard to have no tick, and is not told because another one failed before the session
    had shown any, is asked for once more, after those that were not reached."""
    told, heard, in_a_row = _Told(group, queue_), set[Scheduled](), 0
    try:
        ranges = {day: found for day in group if (found := _range(run, day, told))}
        left = list(ranges)
        while left:
            try:
                asked = [ranges[day] for day in left]
                for answer in run.harvest.ticks(left[0].contract, asked):
                    told.put(answer.trading_day, answer)
                return
            except OF_A_DAY as error:
                at = next(
                    (n for n, d in enumerate(left) if d.trading_day == error.trading_day), None
                )
                if at is None:  # before any was asked for
                    raise _of_all(error, str(error)) from error
                in_a_row = 1 if set(left[:at]) - heard else in_a_row + 1
                heard.update(left[:at])
                told.put(left[at].trading_day, error)
                if in_a_row == 2:
                    raise _of_all(error, f"{error}, on two days in a row") from error
                left = sorted((d for d in left if d not in told), key=lambda day: day in heard)
    except BaseException as error:
        told.end(error if isinstance(error, Exception) else RuntimeError(str(error)))


def _range(run: Context, day: Scheduled, told: _Told) -> DayRange | None:
    """None, and told so, of a day that the calendar lacks."""
    try:
        return DayRange(day.trading_day, *bounds(day.trading_day, run.days))
    except DataQualityError as error:
        told.put(day.trading_day, NotAsked(str(error)))
        return None


def _of_all(error: UpstreamError, why: str) -> UpstreamError:
    """What the days left of a group get: servers that are silent are gone."""
    return (TqTransport if isinstance(error, TqTimeout) else NotAsked)(why, hint=error.hint)


def groups(days: Sequence[Scheduled], concurrency: int) -> list[list[Scheduled]]:
    """Runs of days of one contract, long ones cut so that every process has some."""
    size = max(1, -(-len(days) // concurrency))
    found = []
    for _, run_ in groupby(days, key=lambda day: (day.symbol, day.contract)):
        of_contract = list(run_)
        found += [of_contract[n : n + size] for n in range(0, len(of_contract), size)]
    return found
