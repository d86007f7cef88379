"""The tasks of a load that a page shows: those about the place that it has reached."""

import pytest

from orchestration.console.api.jobs import Task
from orchestration.console.pages.loading import ENDED_TASKS, TASKS, choose_tasks


def make_tasks(ended: int, waiting: int) -> list[Task]:
    counts = dict.fromkeys(
        ("keys", "done", "skipped", "failed", "rows_read", "rows_new", "rows_changed"), 0
    )
    statuses = [*ended * ["succeeded"], *waiting * ["pending"]]
    return [
        Task(
            id=f"1-{n}",
            task_no=n,
            dataset="price",
            exchange=None,
            status=status,
            started_at=None,
            finished_at=None,
            **counts,
        )
        for n, status in enumerate(statuses, start=1)
    ]


@pytest.mark.parametrize(
    ("ended", "waiting", "first", "count"),
    [
        (0, 0, None, 0),
        (3, 4, 1, 7),
        (0, 1000, 1, TASKS),
        (500, 500, 501 - ENDED_TASKS, TASKS),
        (1000, 0, 1001 - ENDED_TASKS, ENDED_TASKS),
    ],
)
def test_the_shown_tasks_are_about_those_that_are_next(
    ended: int, waiting: int, first: int | None, count: int
) -> None:
    shown = choose_tasks(make_tasks(ended, waiting))
    assert len(shown) == count
    assert (shown[0].task_no if shown else None) == first
