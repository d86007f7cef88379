"""Ticks of some contract-days by several processes of the client at once, in the order asked for."""

import queue
import threading
from collections.abc import Iterator, Sequence
from itertools import groupby

from loaders.tq.backlog import Scheduled
from loaders.tq.context import Context
from loaders.tq.service.answers import DayRange, TickAnswer
from loaders.tq.trading_day import bounds


def answers(
    run: Context, days: Sequence[Scheduled]
) -> Iterator[tuple[Scheduled, TickAnswer | Exception]]:
    """An answer, or why there is none, for each day, in their order.

    Each group of days of one contract has a process. What goes wrong ends its group: all days left of
    it get that error. Files of answers are deleted by who takes them.
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
            broken: Exception | None = None
            for day in group:
                answer = broken or told.get()
                if isinstance(answer, Exception):
                    broken = answer
                yield day, answer
    except BaseException:  # whoever reads no further ends the processes too
        run.halted.set()
        raise
    finally:
        for thread in threads:
            thread.join()


def _ask(
    run: Context, group: Sequence[Scheduled], told: "queue.SimpleQueue[TickAnswer | Exception]"
) -> None:
    try:
        ranges = [DayRange(d.trading_day, *bounds(d.trading_day, run.days)) for d in group]
        for answer in run.harvest.ticks(group[0].contract, ranges):
            told.put(answer)
    except BaseException as error:
        told.put(error if isinstance(error, Exception) else RuntimeError(str(error)))


def groups(days: Sequence[Scheduled], concurrency: int) -> list[list[Scheduled]]:
    """Runs of days of one contract, long ones cut so that every process has some."""
    size = max(1, -(-len(days) // concurrency))
    found = []
    for _, run_ in groupby(days, key=lambda day: (day.symbol, day.contract)):
        of_contract = list(run_)
        found += [of_contract[n : n + size] for n in range(0, len(of_contract), size)]
    return found
