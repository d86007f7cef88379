"""A load of the smallest source there can be, killed in the middle of it."""
# ruff: noqa: F811

import pytest

from loaders.engine import job_list, jobs
from loaders.warehouse.postgres import open_warehouse
from quotemill.errors import UsageError
from tests.faults.scene import wait_until
from tests.toy.bench import (  # noqa: F401
    EXPECTED,
    RECORD,
    Toy,
    bench,
    load_elsewhere,
)


def test_a_killed_load_is_interrupted_and_cannot_be_cancelled(bench: Toy) -> None:
    reached = bench.block("cc")
    warehouse = open_warehouse(bench.settings)
    with load_elsewhere(bench) as load:
        release = reached()
        assert job_list.report(warehouse)["jobs"][0]["status"] == "running"
        load.kill()
        load.wait()
    release()
    wait_until(
        "its lock is gone", lambda: job_list.report(warehouse)["jobs"][0]["status"] != "running"
    )
    shown = job_list.report(warehouse)
    assert [x["status"] for x in (shown["jobs"][0], *shown["tasks"])] == [
        "interrupted",
        "cancelled",
    ]

    gone = "load 1 is not running: its process no longer exists"
    with pytest.raises(UsageError, match=gone) as error:
        jobs.request_cancel(warehouse)

    assert "quotemill retry 1" in error.value.hint
    assert bench.rows(RECORD) == [("interrupted", None, "cancelled")]
    assert bench.load(retry=True).status == "succeeded"
    assert bench.rows() == EXPECTED
