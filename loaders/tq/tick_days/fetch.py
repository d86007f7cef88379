"""Ticks of contract-days from several clients at once, in the order asked for."""

from collections import defaultdict, deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from loaders.tq.context import Context
from loaders.tq.errors import TqAnswerError, TqClientError, TqTimeout, TqTransport
from loaders.tq.tick_days.schedule import Scheduled
from loaders.tq.trading_day import bounds
from quotemill.errors import DataQualityError, UpstreamError

DAY_ERRORS = (TqAnswerError, TqClientError, TqTimeout)
MOST_AHEAD = 300  # answers before their turn, each a file of some 2 MB
Answer = Path | None | Exception  # a file, of Harvest.ticks; None for a day without ticks


class NotAsked(UpstreamError):
    """A day that was not asked for, because of others."""


def fetch_days(ctx: Context, days: Sequence[Scheduled]) -> Generator[tuple[Scheduled, Answer]]:
    """An answer, or the error instead, for each day, in their order: that of trading days.

    Further days are asked for while the caller uses one. A failure of one day (DAY_ERRORS) is that
    day's, and the others are asked for; after two of a contract in a row its other days get an
    error.
    """
    failures: dict[str, list[UpstreamError]] = defaultdict(list)
    waiting: deque[tuple[Scheduled, Future[Answer]]] = deque()
    pool = ThreadPoolExecutor(ctx.settings.concurrency, "ticks")
    try:
        for day in days:
            waiting.append((day, pool.submit(_ask, ctx, day, failures[day.contract])))
            if len(waiting) == MOST_AHEAD:
                yield _take(waiting)
        while waiting:
            yield _take(waiting)
    except BaseException:  # a caller that reads no further ends the processes too
        ctx.halted.set()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _take(waiting: deque[tuple[Scheduled, Future[Answer]]]) -> tuple[Scheduled, Answer]:
    day, answer = waiting.popleft()
    return day, answer.result()


def _ask(ctx: Context, day: Scheduled, in_a_row: list[UpstreamError]) -> Answer:
    """`in_a_row`: the failures of the contract since its last answer."""
    try:
        if len(in_a_row) > 1:
            raise _contract_error(in_a_row[-1])
        try:
            start, end = bounds(day.trading_day, ctx.days)
        except DataQualityError as error:
            raise NotAsked(str(error)) from error
        answer = ctx.harvest.ticks(day.contract, start, end)
        in_a_row.clear()
        return answer
    except DAY_ERRORS as error:
        in_a_row.append(error)
        return error
    except Exception as error:
        return error


def _contract_error(error: UpstreamError) -> UpstreamError:
    """The error of a contract's other days: servers that are silent are gone."""
    kind = TqTransport if isinstance(error, TqTimeout) else NotAsked
    return kind(f"{error}, on two days in a row", hint=error.hint)
