"""Ticks of some contract-days by several processes of the client at once, in the order asked for."""

import queue
import threading
from collections.abc import Iterator, Sequence
from itertools import groupby

from loaders.errors import DataQualityError, UpstreamError
from loaders.tq.backlog import Scheduled
from loaders.tq.context import Context
from loaders.tq.errors import TqAnswerError, TqClientError, TqTimeout, TqTransport
from loaders.tq.service.answers import DayRange, TickAnswer
from loaders.tq.trading_day import bounds

OF_A_DAY = (TqAnswerError, TqClientError, TqTimeout)


class NotAsked(UpstreamError):
    """A day that was not asked for, because of others."""


def answers(
    run: Context, days: Sequence[Scheduled]
) -> Iterator[tuple[Scheduled, TickAnswer | Exception]]:
    """An answer, or why there is none, for each day, in their order.

    Each group of days of one contract has a process. What goes wrong with one day (OF_A_DAY) is that
    day's, and the next one is asked for; on two in a row, or with anything else, all days left of the
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


def _ask(
    run: Context, group: Sequence[Scheduled], told: "queue.SimpleQueue[TickAnswer | Exception]"
) -> None:
    """Put one answer or error for each day of the group, whatever happens."""
    left, in_a_row = list(group), 0
    while left:
        try:
            ranges = [DayRange(d.trading_day, *bounds(d.trading_day, run.days)) for d in left]
            for answer in run.harvest.ticks(left[0].contract, ranges):
                told.put(answer)
                left, in_a_row = left[1:], 0
            return
        except OF_A_DAY as error:
            told.put(error)
            left, in_a_row = left[1:], in_a_row + 1
            if in_a_row == 2:
                silent = isinstance(error, TqTimeout)
                kind = TqTransport if silent else NotAsked
                _put_all(told, kind(f"{error}, on two days in a row", hint=error.hint), len(left))
                return
        except DataQualityError as error:  # of the calendar, and of one of them alone
            _put_all(told, NotAsked(str(error)), len(left))
            return
        except BaseException as error:
            known = error if isinstance(error, Exception) else RuntimeError(str(error))
            _put_all(told, known, len(left))
            return


def _put_all(
    told: "queue.SimpleQueue[TickAnswer | Exception]", error: Exception, count: int
) -> None:
    for _ in range(count):
        told.put(error)


def groups(days: Sequence[Scheduled], concurrency: int) -> list[list[Scheduled]]:
    """Runs of days of one contract, long ones cut so that every process has some."""
    size = max(1, -(-len(days) // concurrency))
    found = []
    for _, run_ in groupby(days, key=lambda day: (day.symbol, day.contract)):
        of_contract = list(run_)
        found += [of_contract[n : n + size] for n in range(0, len(of_contract), size)]
    return found
