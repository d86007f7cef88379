"""How a load ends: its status and exit code by its tasks, its error, and whether it was stopped."""

from types import SimpleNamespace
from typing import Any

import pytest

from loaders.engine import job_list
from loaders.engine import run as module
from loaders.engine.jobs import Task
from loaders.engine.outcome import SourceGone
from loaders.engine.result import LoadResult
from quotemill.errors import LockHeldError, QuotemillError, UsageError

WRONG, TAKEN = UsageError("no such day"), LockHeldError("taken", hint="`quotemill retry 9` does")
DONE = {"status": "succeeded", "done": 1}
LOST: dict[str, Any] = {"status": "failed", "failures": {"a": "no answer"}}
LOST_IN_PART = LOST | {"cursor": {"key": "a"}}  # some of its rows landed


@pytest.fixture
def recorded() -> list[str]:
    """The statuses that were recorded."""
    return []


@pytest.fixture
def end(monkeypatch: pytest.MonkeyPatch, recorded: list[str]) -> Any:
    """End a load with these tasks."""

    def finish_job(_: Any, content: str, job: int, status: str, error: str | None) -> bool:
        recorded.append(status)
        return True

    monkeypatch.setattr(module.jobs, "finish_job", finish_job)
    monkeypatch.setattr(module, "log_end", lambda *_: None)

    def finish(
        *tasks: dict[str, Any],
        error: QuotemillError | None = None,
        cancelled: bool = False,
        known: tuple[Any, ...] = (),
        passing: frozenset[str] = frozenset(),
    ) -> LoadResult:
        load: Any = SimpleNamespace(
            tasks=[Task(n, "price", keys=("a",), **task) for n, task in enumerate(tasks, 1)],
            warehouse=SimpleNamespace(ask=lambda _: known),
            reporter=SimpleNamespace(line=lambda _: None),
            request=SimpleNamespace(source="toy"),
            passing=passing,
            content="content",
            job_id=7,
            warnings=[],
            counts={},
        )
        return module._finish(load, error, cancelled, 1.0)

    return finish


@pytest.mark.parametrize(
    ("tasks", "more", "status", "exit_code"),
    [
        ((DONE,), {}, "succeeded", 0),
        ((DONE, LOST), {}, "partial", 6),
        ((LOST,), {}, "failed", 4),
        ((LOST_IN_PART,), {}, "partial", 6),
        (({"status": "failed"},), {}, "failed", 4),
        ((DONE, {}), {"cancelled": True}, "cancelled", 6),
        ((DONE, {}), {"error": TAKEN}, "partial", 75),
        (({},), {"error": SourceGone("gone")}, "failed", 4),
    ],
)
def test_a_load_ends_as_its_tasks_its_error_and_its_stop_say(
    end: Any, recorded: list[str], tasks: Any, more: Any, status: str, exit_code: int
) -> None:
    result = end(*tasks, **more)
    assert (result.status, result.exit_code) == (status, exit_code)
    assert recorded == [status]
    open_ones = {"cancelled" if "cancelled" in more else "failed"}
    assert {task.status for task in result.tasks} <= open_ones | {"succeeded"}


@pytest.mark.parametrize("cancelled", [False, True])
def test_keys_that_are_all_acknowledged_fail_no_load(end: Any, cancelled: bool) -> None:
    known = (SimpleNamespace(acknowledged_at="then"),)
    result = end(DONE, LOST, known=known, cancelled=cancelled)
    assert result.status == ("cancelled" if cancelled else "succeeded")
    assert end(DONE, LOST, known=(SimpleNamespace(acknowledged_at=None),)).is_standing
    assert not end(LOST, known=(SimpleNamespace(acknowledged_at=None),)).is_standing  # failed
    assert end(DONE, LOST).status == "partial"
    gone = end(DONE, LOST, known=known, error=SourceGone("gone"))
    assert (gone.status, gone.exit_code) == ("partial", SourceGone.exit_code)


def test_the_hint_of_a_load_loads_what_is_left_of_it(end: Any, recorded: list[str]) -> None:
    assert "quotemill retry 7" in end(DONE, LOST).hint
    assert end(DONE).hint == ""
    assert end(DONE, LOST, passing=frozenset({"price"})).hint == module.PASSING
    assert "quotemill retry 7" in end(DONE, LOST, passing=frozenset({"other"})).hint
    assert "quotemill retry 7" in end({}, error=SourceGone("gone")).hint
    assert end({}, error=TAKEN).hint == TAKEN.hint
    # of a mistake in the request nothing is left
    assert end({}, error=WRONG).hint == WRONG.hint
    assert recorded[-1] == "succeeded"


@pytest.mark.parametrize(
    ("status", "error", "is_stopped"),
    [("partial", "gone", True), ("partial", None, False), ("running", "gone", False)],
)
def test_an_error_stops_a_load_and_failed_keys_do_not(
    status: str, error: str | None, is_stopped: bool
) -> None:
    assert job_list.is_stopped({"status": status, "error": error}) == is_stopped
