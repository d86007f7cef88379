"""The record of a load: what is left of it, which one a retry takes, and how it ends."""
# ruff: noqa: F811

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from loaders.engine import failed_keys, jobs
from loaders.engine.jobs import Task
from loaders.engine.request import LoadRequest
from loaders.warehouse.content import content_id
from loaders.warehouse.lock import load_lock
from loaders.warehouse.postgres import open_warehouse
from quotemill.errors import UsageError
from quotemill.warehouse.postgres import Warehouse
from tests.toy.bench import RECORD, Toy, bench  # noqa: F401

Begin = Callable[..., int]


@pytest.fixture
def warehouse(bench: Toy) -> Warehouse:
    bench.load(keys=("AA",))
    return open_warehouse(bench.settings)


@pytest.fixture
def begin(warehouse: Warehouse) -> Begin:
    """Record a job with these tasks; its number."""
    content = content_id(warehouse)

    def record(*tasks: Task) -> int:
        now = datetime.now(UTC)
        job = jobs.start_job(warehouse, content, "toy", LoadRequest("toy"), "init", now)
        for task in tasks:
            jobs.save_task(warehouse, content, job, task)
        return job

    return record


def test_failed_keys_are_left_and_all_of_a_task_that_did_not_end(
    warehouse: Warehouse, begin: Begin
) -> None:
    keys, gone = ("a", "b"), "no answer"
    job = begin(
        Task(1, "price", keys=keys, status="succeeded", done=2),
        Task(2, "price", keys=keys, status="partial", skipped=1, failures={"b": gone}),
        Task(3, "price", keys=keys, status="failed", failures=dict.fromkeys(keys, gone)),
        Task(4, "price", keys=keys, status="cancelled", failures={"a": gone}),
        Task(5, "price", keys=keys, status="failed", done=1, failures={"the list": gone}),
        Task(6, "price", keys=keys),
    )
    record, left = jobs.failed_tasks(warehouse, "toy", job)
    assert record["job_id"] == job
    assert [task.keys for task in left] == [(), ("b",), keys, keys, keys, keys]


def test_a_retry_takes_the_newest_failed_load_that_none_repaired(
    bench: Toy, warehouse: Warehouse
) -> None:
    def taken() -> int:
        return int(jobs.failed_tasks(warehouse, "toy")[0]["job_id"])

    failed = bench.load(keys=("AA", "ee")).job_id
    bench.load(keys=("AA",))
    assert taken() == failed
    bench.write("ee", "1,50\n")
    bench.load(keys=("AA", "ee"))
    newest = bench.load(keys=("AA",)).job_id
    assert taken() == newest


@pytest.mark.parametrize(
    ("status", "recorded"), [("cancelled", "cancelled"), ("failed", "failed"), (None, "cancelled")]
)
def test_open_tasks_end_with_their_job(
    bench: Toy, warehouse: Warehouse, begin: Begin, status: str | None, recorded: str
) -> None:
    ended = Task(2, "price", keys=("AA",), status="succeeded", done=1)
    job = begin(Task(1, "price", keys=("AA",), status="running"), ended)
    if status is None:  # its process died, and the next job of the lane begins
        begin()
    else:
        jobs.finish_job(warehouse, content_id(warehouse), job, status)
    after = bench.rows(RECORD)[1:3]
    assert after == [
        (status or "interrupted", None, recorded),
        (status or "interrupted", None, "succeeded"),
    ]


def test_a_task_settles_the_keys_that_it_has_reached(
    bench: Toy, warehouse: Warehouse, begin: Begin
) -> None:
    keys, content = ("a", "b"), content_id(warehouse)
    begin(Task(1, "price", keys=keys, failures=dict.fromkeys(keys, "no answer")))
    running = Task(1, "price", keys=keys, status="running")
    job = begin(running)
    started = "select started_at from ops.ingestion_job_tasks where job_id = %s"
    first = bench.rows(started, job)
    running.done = 1
    jobs.save_task(warehouse, content, job, running)
    assert bench.rows(started, job) == first
    assert bench.rows("select key from ops.failed_keys") == [("b",)]


def test_a_key_that_fails_again_is_known_until_its_reason_changes(
    bench: Toy, warehouse: Warehouse, begin: Begin
) -> None:
    def failing(why: str) -> Task:
        return Task(1, "price", keys=("a",), status="failed", failures={"a": why})

    def known(job: int) -> list[int]:
        with warehouse.connect() as conn:
            return [failure.first_job_id for failure in failed_keys.read_known(conn, job)]

    first = begin(failing("lacks 3 rows"))
    assert known(first) == []
    assert known(begin(failing("no answer"))) == [first]
    with warehouse.connect() as conn:
        assert failed_keys.acknowledge(conn, "price a", "it comes later", "me") == 1
    assert known(begin(failing("no answer"))) == [first]
    newest = begin(failing("lacks 4 rows"))  # nobody has acknowledged that
    assert known(newest) == []
    jobs.save_task(warehouse, content_id(warehouse), newest, failing("lacks 5 rows"))
    reasons = "select reason, acknowledged_at from ops.failed_keys"
    assert bench.rows(reasons) == [("lacks 5 rows", None)]


def test_a_load_stops_after_a_task_that_has_not_ended(
    bench: Toy, warehouse: Warehouse, begin: Begin
) -> None:
    with load_lock(warehouse, "toy"):
        ended = Task(1, "price", keys=("AA",), status="succeeded", done=1)
        job = begin(ended, Task(2, "price", keys=("AA",)))
        for number in (1, 3):
            with pytest.raises(UsageError, match=f"task {number} .* {job}"):
                jobs.request_cancel_after(warehouse, job, number)
        jobs.request_cancel_after(warehouse, job, 2)
    stops = "select cancel_after_task from ops.ingestion_jobs where job_id = %s"
    assert bench.rows(stops, job) == [(2,)]
    with pytest.raises(UsageError, match=f"load {job} is not running"):
        jobs.request_cancel_after(warehouse, job, 2)
