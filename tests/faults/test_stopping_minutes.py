"""A load that is stopped in the middle of its minutes says how far they came; the rest is made up."""

import signal
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

import pytest

from tests.faults.scene import Scene, assert_same, ended, wait_until

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
    process = scene.begin(*WANTED)
    wait_until("a request hangs", lambda: any(e.faults for e in list(scene.sandbox.log)))
    yield scene, process
    if process.poll() is None:
        process.kill()
        process.communicate()


def assert_stands(scene: Scene, day: date) -> None:
    """The record of the task and `loaders status` tell the last code, its cursor and the package."""
    stands = scene.rows(
        "select status, done, skipped, cursor_payload from ops.ingestion_job_tasks "
        "where dataset = 'minute_1m' and exchange = 'sh'"
    )
    # sh600001 is no longer traded
    at = {"key": "sh600002", "cursor": day.isoformat(), "package": 2}
    assert stands == [("cancelled", 3, 1, at)]
    assert f"at key sh600002 cursor {day} package 2" in scene.loaders("status").out
    found = {row[0] for row in scene.rows("select distinct code from raw_tdx.kline_minute")}
    assert found == LANDED


def assert_finishes(scene: Scene, undisturbed: dict[str, Any], *command: str) -> None:
    """What follows asks only for the minutes that are left, and leaves what an undisturbed load does."""
    scene.sandbox.faults.clear()
    scene.sandbox.log.clear()
    again = scene.loaders(*command, "--as-of", scene.as_of)
    assert again.code == 0, again.said
    asked = {e.params["code"] for e in list(scene.sandbox.log) if e.route == "kline-history"}
    assert {"sh600003", "sh600004"} <= asked
    assert not asked & LANDED
    assert_same(scene.facts(), undisturbed)


def test_a_cancelled_load_says_where_its_minutes_stand_and_a_retry_finishes_them(
    stuck: tuple[Scene, Any], undisturbed: dict[str, Any], days: list[date]
) -> None:
    scene, process = stuck
    assert scene.loaders("cancel").code == 0
    stopped = ended(process)

    assert stopped.code == 6, stopped.said
    assert scene.jobs() == ["cancelled"]
    assert_stands(scene, days[-1])
    assert_finishes(scene, undisturbed, "retry")


def test_ctrl_c_in_the_middle_of_minutes_keeps_what_came_and_the_next_load_finishes_them(
    stuck: tuple[Scene, Any], undisturbed: dict[str, Any], days: list[date]
) -> None:
    scene, process = stuck
    process.send_signal(signal.SIGINT)
    stopped = ended(process)

    assert stopped.code == 130, stopped.said
    assert "run again to continue" in stopped.said
    assert scene.jobs() == ["cancelled"]
    assert_stands(scene, days[-1])
    assert_finishes(scene, undisturbed, "run", "tdx", *WANTED)
