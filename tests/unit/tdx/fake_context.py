"""A context for datasets without a load, and calendars.

Requests are answered one after the other.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import date
from types import SimpleNamespace
from typing import Any, cast

from loaders.engine.outcome import Outcome
from loaders.engine.window import Window
from loaders.tdx.context import Context, catch_failure
from loaders.tdx.files.file_notes import FileNotes
from loaders.tdx.missing_datasets import Absence


def fake_context(**attributes: Any) -> Context:
    def each(keys: Sequence[str], work: Callable[[str], Awaitable[Outcome]]) -> Iterator[Outcome]:
        for key in keys:
            yield asyncio.run(catch_failure(key, work(key)))

    def in_order(keys: Sequence[Any], work: Callable[[Any], Any], *_: Any) -> Iterator[Any]:
        for key in keys:
            yield asyncio.run(work(key))

    def absence(dataset: str, _: Any) -> Absence:
        return Absence(dataset, possible=False)

    own = {"each": each, "wait": asyncio.run, "loop": SimpleNamespace(in_order=in_order)}
    own |= {"absence": absence, "service": attributes.get("client"), "file": lambda *_: None}
    own |= {
        "file_notes": FileNotes(),
        "folder": None,
        "day_files": {},
    } | attributes
    return cast(Context, SimpleNamespace(**own))


def calendar(today: date, closed: Callable[[date], bool] = lambda _: False) -> Window:
    """What checks of bars need to know of days."""
    return Window([] if closed(today) else [today], today, 10, closed, today)
