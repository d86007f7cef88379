"""What loading one key of a dataset came to, and how many are loaded at a time.

A key is a code, or a code and a period (`sh000001 week`). What goes wrong with one key is its
outcome and stops nothing else; only ServiceGone ends a load.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, TypeVar

from loaders.errors import DataQualityError, UpstreamError
from loaders.tdx.bars.plausibility import Rejected
from loaders.tdx.service.outage import ServiceGone

NOT_DUE = "nothing new is due"
K = TypeVar("K")
R = TypeVar("R")


@dataclass(frozen=True)
class Outcome:
    """One key after a load: rows to land, why there are none, or some rows and a failure.

    `rows` is whatever the dataset's own `table` turns into Arrow; its length is its number of rows.
    `fallback` says which route stood in for which, and why.
    """

    code: str
    # asyncio.Runner has the signal module spell out each task that ends, thousands of bars with it
    rows: Any | None = field(default=None, repr=False)
    rejected: Sequence[Rejected] = field(default=(), repr=False)
    cursor: date | None = None
    skipped: str | None = None
    failure: str | None = None
    fallback: str | None = None
    gone: ServiceGone | None = field(default=None, repr=False)


async def outcome_of(code: str, work: Awaitable[Outcome]) -> Outcome:
    """The outcome of loading one key; what goes wrong with it is its outcome, not an error."""
    try:
        return await work
    except ServiceGone as error:
        return Outcome(code, failure=str(error), gone=error)
    except (UpstreamError, DataQualityError) as error:
        return Outcome(code, failure=str(error))


async def answer_or_fault(
    request: Awaitable[R],
) -> tuple[R | None, UpstreamError | DataQualityError | None]:
    """What one request of several gives, or why it gives nothing. Raises ServiceGone, which ends all."""
    try:
        return await request, None
    except ServiceGone:
        raise
    except (UpstreamError, DataQualityError) as error:
        return None, error


async def in_order(
    keys: Sequence[K],
    work: Callable[[K], Awaitable[R]],
    concurrency: int,
    room: Callable[[], bool] = lambda: True,
) -> AsyncIterator[R]:
    """Results in the order of `keys`, a few more tasks than `concurrency` in the air at a time.

    Once there is no `room` for more, it ends after what is in the air: the caller goes on from there.
    """
    pending: list[asyncio.Task[R]] = []
    try:
        for key in keys:
            if not room():
                break
            pending.append(asyncio.ensure_future(work(key)))
            if len(pending) >= 2 * concurrency:
                yield await pending.pop(0)
        while pending:
            yield await pending.pop(0)
    finally:
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
