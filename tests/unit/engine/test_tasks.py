"""What a running task makes of the outcomes of its keys, without a warehouse."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from loaders.engine import tasks as module
from loaders.engine.jobs import Task
from loaders.engine.load import Load
from loaders.engine.outcome import Outcome, SourceGone
from loaders.engine.run import _run_tasks
from loaders.engine.source import Dataset, Keys
from loaders.engine.tasks import RunningTask
from loaders.landing.rejects import Rejected, rejected_rows
from loaders.landing.staging import COPY_ROWS
from loaders.warehouse.tables import landed_table
from quotemill.errors import UsageError

FIELDS = [("code", pa.string()), ("trade_date", pa.date32()), ("close", pa.int64())]
DAILY = landed_table("raw_toy", "daily", FIELDS, key=("code", "trade_date"))
DAY = date(2025, 6, 30)
GOOD = {"code": "a", "trade_date": DAY, "close": 1, "is_final": True}
UNFIT = Rejected("a 2025-06-30", "close", "must not be missing", "", "{}")


class Stored(list[Any]):
    """A connection to rows: rows of five columns are open rejections."""

    def execute(self, query: bytes, *_: Any) -> "Stored":
        return Stored(row for row in self if (len(row) == 5) is (b"is_withdrawn" in query))

    def fetchall(self) -> "Stored":
        return self


def running(landed: Any = DAILY, stored: Sequence[Any] = (), **keys: Any) -> RunningTask:
    """A task of the keys a and b, over what is stored."""
    load: Any = SimpleNamespace(
        packages=SimpleNamespace(rows=0),
        warehouse=SimpleNamespace(ask=lambda query: query(Stored(stored))),
        reporter=SimpleNamespace(advance=lambda *_: None, line=lambda _: None),
        counts=Counter[str](),
        gone=None,
        clock=lambda: datetime(2025, 7, 1, tzinfo=UTC),
        cursors=lambda _: {"a": "2025-06-27"},
        cancelling=lambda: False,
        stopping=lambda: False,
        save=lambda _: None,
        end_task=lambda _: None,
    )
    dataset: Dataset[Any] = Dataset("daily", landed, "toy", lambda *_: iter(()), keys=Keys(**keys))
    return RunningTask(
        load, Task(1, "daily", keys=("a", "b")), dataset, 1, rejected_rows("raw_toy")
    )


@pytest.mark.parametrize(
    ("landed", "cursor", "is_kept"),
    [
        (DAILY, "2025-06-27", False),
        (DAILY, "2025-06-30 4 min", False),
        (DAILY, "2025-07-01", True),
        (replace(DAILY, day=None), "slot 7", False),
    ],
)
def test_a_row_that_is_refused_keeps_the_cursor_before_it(
    landed: Any, cursor: str, is_kept: bool
) -> None:
    outcome = Outcome("a", [GOOD, GOOD | {"close": None}], cursor=cursor)
    assert ("a" in running(landed).batch([outcome]).cursors) is is_kept


def test_a_row_that_breaks_two_rules_is_one_rejected_row() -> None:
    task = running()
    task.batch([Outcome("a", [{"code": "a", "trade_date": None, "close": None}])])
    assert (task.task.rows_rejected, task.load.counts["refused"]) == (1, 2)


def test_what_this_reading_refuses_comes_before_an_earlier_rejection() -> None:
    older = replace(UNFIT, is_withdrawn=True)
    assert module._without_repeated([UNFIT, older]) == [UNFIT]


@pytest.mark.parametrize(
    ("rows", "stored", "whole", "is_landed"),
    [
        ([GOOD], [("a", DAY, 1, True)], (), True),
        ([GOOD], [("a", DAY, 1, True), ("b", DAY, 1, True)], (), True),
        ([GOOD], [("a", DAY, 1, True), ("b", DAY, 1, True)], ("trade_date",), False),
        ([GOOD], [("a", DAY, 1, True), ("b", DAY, 1, "", "{}")], (), False),
        ([GOOD, GOOD | {"code": "b"}], [("a", DAY, 1, True)], (), False),
    ],
)
def test_rows_that_are_stored_land_only_if_something_is_open(
    rows: Any, stored: Any, whole: tuple[str, ...], is_landed: bool
) -> None:
    task = running(replace(DAILY, whole=whole), stored, only="all")
    assert task._are_landed(rows) is is_landed


def test_rows_of_several_keys_make_a_batch_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RunningTask, "batch", lambda _, held: [o.key for o in held])
    sizes = {"a": COPY_ROWS, "b": 1, "c": COPY_ROWS - 1, "d": 1, "e": 1}
    outcomes = (Outcome(key, range(size)) for key, size in sizes.items())
    batches: list[Any] = [*running()._batches(outcomes)]
    assert batches == [["a"], ["b", "c"], ["d", "e"]]


def test_a_part_lands_before_its_key_goes_on_and_is_not_counted() -> None:
    task, parts = running(), list[Outcome]()
    part, end = Outcome("a", [GOOD], is_part=True), Outcome("a")
    outcomes = iter([part, end])
    assert [*task._counted(outcomes, parts)] == parts == [part]
    assert task.task.done == 0
    assert next(outcomes) is end


@pytest.mark.parametrize(("most", "calls"), [(None, [("a",), ("b",)]), (2, [("a", "b")])])
def test_a_dataset_names_how_many_keys_one_call_gets(
    monkeypatch: pytest.MonkeyPatch, most: int | None, calls: list[tuple[str, ...]]
) -> None:
    asked = []

    def fetch(_: Any, keys: Sequence[str]) -> Iterator[Outcome]:
        asked.append(tuple(keys))
        yield from map(Outcome, keys)

    def land(self: RunningTask, outcomes: Iterator[Outcome]) -> bool:
        return bool([*self._counted(outcomes, [])]) and False

    monkeypatch.setattr(RunningTask, "_land_package", land)
    task = running(most=most)
    task.dataset = replace(task.dataset, fetch=fetch)
    task.run(None)
    assert (asked, task.task.status) == (calls, "succeeded")


def test_a_package_without_a_change_is_published_again() -> None:
    task, published = running(), list[Any]()
    packages: Any = task.load.packages
    packages.publish = lambda *values: published.append(values[1:3])
    task._land(iter(()))
    assert published == [("daily", {"a": "2025-06-27"})]


@pytest.mark.parametrize(
    ("keys", "text"),
    [(("a",), "a: no bar"), (("a", "b"), "a and 1 more: no bar")],
)
def test_keys_with_one_reason_are_one_line(keys: tuple[str, ...], text: str) -> None:
    task, said = running(), list[str]()
    load: Any = task.load
    load.warn = load.reporter.line = said.append
    for key in keys:
        task._count(Outcome(key, skipped="no bar"))
    task.repeated = {"no bar": [*keys]}
    task._report()
    assert said == [f"daily {text}"] * 2


@pytest.mark.parametrize(("last", "is_over"), [(None, False), (1, True), (2, True), (3, False)])
def test_a_load_ends_after_the_task_that_was_named(last: int | None, is_over: bool) -> None:
    stops = list[bool]()
    watch = SimpleNamespace(last_task=last, stop=lambda: stops.append(True))
    load: Any = SimpleNamespace(watch=watch)
    Load.end_task(load, Task(2, "daily"))
    assert stops == [True] * is_over


@pytest.mark.parametrize(("only", "lines"), [(None, ["daily a: no bar"]), ("all", [])])
def test_the_failure_of_the_only_key_of_a_dataset_is_no_line_of_its_own(
    only: str | None, lines: list[str]
) -> None:
    task, said = running(only=only), list[str]()
    load: Any = task.load
    load.reporter.line = said.append
    task._count(Outcome("a", failure="no bar"))
    assert (said, task.task.failures) == (lines, {"a": "no bar"})


GONE, WRONG = SourceGone("away"), UsageError("no such day")


@pytest.mark.parametrize(("gone", "count"), [(None, 1), (GONE, 2)])
def test_a_stop_ends_no_account_of_a_source_that_is_gone(gone: Any, count: int) -> None:
    task, outcomes = running(), [Outcome("a"), Outcome("b")]
    load: Any = task.load
    load.gone, load.cancelling = gone, lambda: True
    assert [*task._counted(iter(outcomes), [])] == outcomes[:count]


@pytest.mark.parametrize(
    ("raised", "gone", "cancels", "expected"),
    [
        (None, None, True, (None, True)),
        (None, GONE, True, (GONE, False)),
        (WRONG, GONE, False, (WRONG, False)),
        (None, None, False, (None, False)),
    ],
)
def test_an_error_says_more_than_a_stop(
    monkeypatch: pytest.MonkeyPatch, raised: Any, gone: Any, cancels: bool, expected: Any
) -> None:
    def run(*_: Any) -> None:
        if raised:
            raise raised

    monkeypatch.setattr(module, "run", run)
    load: Any = SimpleNamespace(gone=gone, cancelling=lambda: cancels, counts=Counter[str]())
    source: Any = None
    assert _run_tasks(load, source) == expected
