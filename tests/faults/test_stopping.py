"""Stopping a load by Ctrl-C or from elsewhere, two loads at once, and loading again what failed."""

import contextlib
import os
import pty
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Thread
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from loaders.warehouse import lock as locks
from tests.faults.scene import Scene, assert_same, ended, wait_until
from tests.forks import Fork

OpenScene = Callable[..., Scene]
# the third package of bars waits for answers that never come
STUCK = "hang:kline-all:after=7"
SLICED = {"QUOTEMILL_TDX__SLICE_SIZE": "3", "QUOTEMILL_TDX__BATCH_SIZE": "6"}


@pytest.fixture
def stuck(open_scene: OpenScene) -> Iterator[tuple[Scene, Any]]:
    """A load in the middle of its bars: some packages have landed, the next waits for answers."""
    scene = open_scene(faults=[STUCK], **SLICED)
    process = scene.begin_stuck()
    yield scene, process
    if process.poll() is None:
        process.kill()
        process.communicate()


def asked(scene: Scene) -> set[str]:
    return {e.params["code"] for e in list(scene.sandbox.log) if e.route == "kline-all"}


def stale(scene: Scene) -> set[str]:
    """Codes whose last bar is older than the last day; each load asks for them again."""
    return {
        row[0]
        for row in scene.rows(
            "select code from raw_tdx.kline_daily group by code "
            "having max(trade_date) < (select max(trade_date) from raw_tdx.kline_daily)"
        )
    }


def assert_continues(scene: Scene, undisturbed: dict[str, Any]) -> None:
    """The next load asks only for what is left and leaves what an undisturbed one leaves."""
    landed = {row[0] for row in scene.rows("select distinct code from raw_tdx.kline_daily")}
    scene.sandbox.faults.clear()
    scene.sandbox.log.clear()
    again = scene.run()
    assert again.code == 0, again.said
    assert asked(scene) & landed <= stale(scene)
    assert_same(scene.facts(), undisturbed)


def test_ctrl_c_stops_a_load_at_once_and_the_next_one_continues(
    stuck: tuple[Scene, Any], undisturbed: dict[str, Any]
) -> None:
    scene, process = stuck
    process.send_signal(signal.SIGINT)
    stopped = ended(process)

    assert stopped.code == 130, stopped.said
    assert "Stopping after the current batch" in stopped.said
    assert "`quotemill retry 1`" in stopped.said
    assert "Traceback" not in stopped.said
    assert scene.jobs() == ["cancelled"]
    assert_continues(scene, undisturbed)


def test_a_ctrl_c_during_a_check_for_cancels_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "WATCH_POLL", 0.001)
    asked = Event()

    def ask(*_: object) -> tuple[bool, None]:
        watch.stop()
        asked.set()
        return (False, None)

    lock: Any = SimpleNamespace(ask=ask)
    watch = locks.Watch(lock, 1, "content")
    with watch:
        assert asked.wait(60)
    assert watch.asked()


def test_ctrl_c_while_rows_land_lets_them_land(
    open_scene: OpenScene, undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    scene = open_scene(FAULTS_SIGNAL="INT", **SLICED)
    stopped = scene.driven(tmp_path / "report", "after COPY, before the upsert", 4)

    assert stopped.code == 130, stopped.said
    assert scene.jobs() == ["cancelled"]
    assert "landed" not in scene.loaders("status").out
    done, rows = scene.rows(
        "select sum(done), sum(rows_new) from ops.ingestion_job_tasks where dataset = 'kline_daily'"
    )[0]
    codes = scene.rows("select count(distinct code), count(*) from raw_tdx.kline_daily")
    assert codes == [(done or 0, rows or 0)]
    assert_continues(scene, undisturbed)


# a backend of the build that waits for our lock
WAITING = "select pid from pg_stat_activity where wait_event_type = 'Lock' and datname = %s"


@pytest.mark.parametrize("presses", [pytest.param(1, marks=pytest.mark.soak), 2])
def test_ctrl_c_in_a_build_on_a_terminal(open_scene: OpenScene, presses: int) -> None:
    """Once is one line and 130; twice ends a build whose server does not answer."""
    scene = open_scene(TERM="xterm", COLUMNS="100")
    assert (made := scene.inside("quotemill", "warehouse", "migrate")).code == 0, made.said
    ours, theirs = pty.openpty()
    said = bytearray()

    def read() -> None:
        with contextlib.suppress(OSError):  # its end
            while more := os.read(ours, 4096):
                said.extend(more)

    words = ("quotemill", "build", "--select", "stg_tdx__trading_day")
    build = Fork(words, env=scene.environ(), cwd=scene.home, files=[theirs] * 3)
    os.close(theirs)
    reading = Thread(target=read)
    reading.start()
    wait_until("it begins", lambda: b" builds: " in said or build.poll() is not None)
    with psycopg.connect(scene.dsn or "") as conn:
        conn.execute("lock table raw_tdx.trading_day in access exclusive mode")
        [(pid,)] = wait_until("it waits", lambda: scene.rows(WAITING, conn.info.dbname))
        if presses == 2:
            os.kill(pid, signal.SIGSTOP)
        try:
            build.send_signal(signal.SIGINT)
            wait_until("it says so", lambda: b"Stopping the build" in said)
            if presses == 2:
                build.send_signal(signal.SIGINT)
            code = build.wait(60)
        finally:
            if presses == 2:
                os.kill(pid, signal.SIGCONT)
    reading.join(60)
    os.close(ours)
    text = said.decode()

    assert code == (130 if presses == 1 else -signal.SIGINT), text
    assert "Traceback" not in text
    assert ": --select stg_tdx__trading_day" in text
    assert re.search(r"0/\d+ .*\d s  stg_tdx__trading_day", text), text
    assert text.rfind("\x1b[?25h") > text.rfind("\x1b[?25l")  # the cursor is shown
    assert text.rstrip().endswith("Press Ctrl-C again to end at once")
