"""Loads and builds stand under the run that started them, where that is known."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orchestration.console.pages.runs import Entry, group_by_run

START = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def make_run(run_id: str, command: str, begin: int, end: int | None, pid: int) -> dict[str, Any]:
    return {
        "run_id": run_id,
        "command": command,
        "host": "here",
        "pid": pid,
        "started_at": START + begin * MINUTE,
        "finished_at": None if end is None else START + end * MINUTE,
    }


def make_load(job_id: int, source: str, minute: int, who: str) -> dict[str, Any]:
    at = START + minute * MINUTE
    return {"job_id": job_id, "source": source, "started_at": at, "requested_by": f"me@{who}"}


def list_parts(entries: list[Entry]) -> list[tuple[Any, list[Any]]]:
    """Keys of entries and of their parts."""

    def name(entry: Entry) -> Any:
        return next(v for k, v in entry.row.items() if k in ("run_id", "job_id", "build_id"))

    return [(name(entry), [name(part) for part in entry.parts]) for entry in entries]


@pytest.mark.parametrize(
    ("source", "who", "owner"),
    [
        ("tdx", "here pid 1", "evening"),
        ("tdx", "here pid 77", "evening"),  # of a process that the run started: the other is of ib
        ("ib", "here pid 2", "close"),
        ("tq", "here pid 77", None),
        ("tdx", "there pid 1", None),
    ],
)
def test_a_load_is_of_the_run_that_may_have_started_it(
    source: str, who: str, owner: str | None
) -> None:
    runs = [
        make_run("close", "run ib", 0, None, 2),
        make_run("evening", "run tdx", 0, 60, 1),
        make_run("saved", "backup", 0, 60, 3),
    ]
    entries = list_parts(group_by_run(runs, [make_load(7, source, 5, who)], []))
    assert dict(entries).get(owner, [7]) == [7]
    assert (7 in dict(entries)) == (owner is None)


def test_entries_are_in_the_order_of_time_and_parts_in_that_of_the_run() -> None:
    runs = [make_run("second", "run", 90, 95, 1), make_run("first", "run", 0, 60, 1)]
    loads = [make_load(2, "tq", 8, "here pid 1"), make_load(1, "tdx", 1, "here pid 1")]
    builds = [{"build_id": n, "started_at": START + n * MINUTE} for n in (10, 70)]
    assert list_parts(group_by_run(runs, loads, builds)) == [
        ("second", []),
        (70, []),
        ("first", [1, 2, 10]),
    ]


def test_a_build_during_two_runs_stands_alone() -> None:
    runs = [make_run("a", "run tdx", 0, 60, 1), make_run("b", "run ib", 0, 60, 2)]
    entries = group_by_run(runs, [], [{"build_id": 5, "started_at": START + MINUTE}])
    assert list_parts(entries)[0] == (5, [])
    loading = [make_run("a", "loaders run tdx", 0, 60, 1)]
    alone = group_by_run(loading, [], [{"build_id": 5, "started_at": START + MINUTE}])
    assert list_parts(alone) == [(5, []), ("a", [])]
