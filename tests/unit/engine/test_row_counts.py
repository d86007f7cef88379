"""The counts of a task's keys and rows."""

from typing import Any

import pytest

from loaders.engine.jobs import Task
from loaders.engine.result import LoadResult


def test_rows_that_a_newer_answer_lacks_make_no_count_negative() -> None:
    task = Task(1, "main_events", rows_read=4, rows_new=1, rows_changed=5)
    assert task.rows_unchanged == 0
    assert Task(1, "main_events", rows_read=4, rows_new=1, rows_changed=1).rows_unchanged == 2


@pytest.mark.parametrize(
    ("counts", "verdict"),
    [
        ({"done": 1, "skipped": 1}, "succeeded"),
        ({"done": 1}, "cancelled"),
        ({"skipped": 1, "failures": {"b": "no answer"}}, "partial"),
        ({"done": 1, "failures": {"b": "no answer"}}, "partial"),
        ({"failures": {"a": "no answer", "b": "no answer"}}, "failed"),
    ],
)
def test_a_task_is_judged_by_all_its_keys(counts: dict[str, Any], verdict: str) -> None:
    assert Task(1, "codes", keys=("a", "b"), **counts).verdict == verdict


@pytest.mark.parametrize(
    ("status", "stored", "is_said"),
    [("succeeded", 0, True), ("succeeded", 3, False), ("failed", 0, False)],
)
def test_a_load_that_wrote_nothing_says_so(status: str, stored: int, is_said: bool) -> None:
    task = Task(1, "ticks", done=1)
    counts = {"stored": stored}
    result = LoadResult(1, "tq", status, 0, (task,), (), None, "", 1.0, counts)
    assert any(line.startswith("nothing new") for line in result.summary()) is is_said


def test_the_figures_of_a_dataset_fit_into_a_line() -> None:
    tasks = (
        Task(1, "corporate_actions", done=28, skipped=2, rows_read=67_200, rows_new=67_200),
        Task(2, "kline_daily", done=1, failures={"sh600000": "no answer"}, rows_rejected=1),
        Task(3, "codes"),
    )
    result = LoadResult(1, "tdx", "partial", 6, tasks, (), None, "", 7.8)
    assert [*result.summary()][:3] == [
        "corporate_actions     28 done, 2 skipped; rows: 67,200 new",
        "kline_daily           1 done, 1 failed; rows: 1 rejected",
        "codes                 no keys",
    ]
