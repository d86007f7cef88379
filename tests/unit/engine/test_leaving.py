"""What a stop leaves of each task."""

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from typing import Any
from unittest.mock import MagicMock

import pytest

from loaders.engine import tasks
from loaders.engine.jobs import Task
from loaders.engine.outcome import Outcome
from loaders.engine.source import Moment, Unit
from quotemill.errors import LockHeldError, UpstreamError


def stop_load(errors: dict[str, Exception]) -> tuple[list[str], list[str]]:
    """The datasets that are left by a load that is stopped, and its warnings."""
    left: list[str] = []
    warnings: list[str] = []
    load = MagicMock(gone=None, warn=warnings.append)
    load.add_task = lambda dataset, keys, _: Task(1, dataset, keys=keys)

    def make_dataset(name: str) -> Any:
        def leave(_: Any, keys: Sequence[str]) -> Iterator[Outcome]:
            if name in errors:
                raise errors[name]
            left.append(name)
            yield Outcome(keys[0], is_part=True)

        return MagicMock(moment=Moment(leave), beside=None)

    load.source.open = nullcontext
    load.source.plan = lambda _: iter([[Unit(name, ("AAPL",)) for name in "abc"]])
    load.source.dataset = make_dataset
    tasks.run(load)
    return left, warnings


def test_a_task_that_cannot_be_left_does_not_keep_the_others_from_it() -> None:
    left, [warning] = stop_load({"b": UpstreamError("no time", hint="wait")})
    assert left == ["a", "c"]
    assert warning == "b: the keys that the stop left are not recorded: no time (wait)"
    with pytest.raises(LockHeldError):
        stop_load({"b": LockHeldError("another load holds it")})
