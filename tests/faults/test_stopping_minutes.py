"""A load that is stopped within its minutes says how far it came; the next one finishes."""

import re
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

import pytest

from tests.faults.scene import Scene, assert_same, ended

OpenScene = Callable[..., Scene]
# the second package of Shanghai's minutes waits for an answer that never comes
STUCK = "hang:kline-history:code=sh600003"
SETTINGS = {
    "QUOTEMILL_TDX__SLICE_SIZE": "3",
    "QUOTEMILL_TDX__BATCH_SIZE": "6",
    "QUOTEMILL_TDX__TIMEOUT": "120",
}
WANTED = ("--dataset=kline_daily", "--dataset=minute_1m", "--dataset=tick_trade")
LANDED = {"sh510300", "sh600000", "sh600002"}


@pytest.fixture(scope="module")
def undisturbed(open_scene: OpenScene) -> dict[str, Any]:
    scene = open_scene(**SETTINGS)
    assert scene.run(*WANTED).code == 0
    return scene.facts()


@pytest.fixture
def stuck(open_scene: OpenScene) -> Iterator[tuple[Scene, Any]]:
    """A load in the middle of its minutes: one package has landed, the next waits for an answer."""
    scene = open_scene(faults=[STUCK], **SETTINGS)
    process = scene.begin_stuck(*WANTED)
    yield scene, process
    if process.poll() is None:
        process.kill()
        process.communicate()


def test_a_retry_finishes_the_minutes_of_a_cancelled_load(
    stuck: tuple[Scene, Any], undisturbed: dict[str, Any], days: list[date]
) -> None:
    """The task and `loaders status` name the last code, its cursor and the package."""
    scene, process = stuck
    assert scene.loaders("cancel").code == 0
    stopped = ended(process)

    assert stopped.code == 6, stopped.said
    assert scene.jobs() == ["cancelled"]
    task = scene.rows(
        "select status, done, skipped, cursor_payload from ops.ingestion_job_tasks "
        "where dataset = 'minute_1m' and exchange = 'sh'"
    )
    # sh600001 is no longer traded
    cursor = {"key": "sh600002", "cursor": days[-1].isoformat(), "package": 2}
    assert task == [("cancelled", 3, 1, cursor)]
    status = scene.loaders("status").out
    assert re.search(f" sh600002 .* {days[-1]} .* 2", status)
    codes = {row[0] for row in scene.rows("select distinct code from raw_tdx.kline_minute")}
    assert codes == LANDED

    scene.sandbox.faults.clear()
    scene.sandbox.log.clear()
    again = scene.loaders("retry", "--as-of", scene.as_of)
    assert again.code == 0, again.said
    asked = {e.params["code"] for e in list(scene.sandbox.log) if e.route == "kline-history"}
    assert {"sh600003", "sh600004"} <= asked
    assert not asked & LANDED
    assert_same(scene.facts(), undisturbed)
