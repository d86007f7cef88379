"""The servers' daily maintenance: a load waits for its end, and a long outage ends the load."""

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.tq.bench import Bench, bench, count_days
from tests.integration.tq.worlds import DAYS, END, world

if TYPE_CHECKING:
    from loaders.sandbox.tq.service import TqSandbox

EVENING = f"{END}T19:05:00"


def count_refused(sandbox: "TqSandbox") -> int:
    return sum(entry.faults != () for entry in list(sandbox.log) if entry.what == "connect")


@contextmanager
def watching(is_over: Callable[[], bool]) -> Iterator[None]:
    """Ask `is_over` in a thread again and again, until it says so or the block ends."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.05) and not is_over():
            pass

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def ended_after(refused: int, sandbox: "TqSandbox") -> Iterator[None]:
    """The clock goes on to 19:30 once so many connections were refused."""

    def end() -> bool:
        is_over = count_refused(sandbox) >= refused
        if is_over:
            sandbox.set_clock(f"{END}T19:30:00")
        return is_over

    with watching(end):
        yield


@contextmanager
def in_maintenance(dsn: str, folder: Path, **tq: Any) -> Iterator[Bench]:
    with bench(world(), dsn, folder, clock=EVENING, faults=["maintenance"], **tq) as made:
        yield made


def test_a_load_waits_for_the_end_of_the_maintenance(schedule_dsn: str, tmp_path: Path) -> None:
    with in_maintenance(schedule_dsn, tmp_path, wait=600) as made:
        with ended_after(2, made.sandbox):
            result = made.load("ticks")
        assert (result.status, count_days(result)) == ("succeeded", DAYS)
        assert count_refused(made.sandbox) >= 2
        said = "\n".join(made.heard.lines)
        assert "HTTP status 503" in said
        assert re.search("19:00 .* 19:30 .*Ctrl-C", said)
        assert "the futures servers are back" in said
        waits = [text for text in made.heard.holds if "storing" not in text]
        assert re.fullmatch("waiting .* since [0-9:]{8} Shanghai", waits[0])
        assert waits[1] == ""


def test_servers_that_stay_away_end_the_load_and_the_next_one_goes_on(
    schedule_dsn: str, tmp_path: Path
) -> None:
    with in_maintenance(schedule_dsn, tmp_path, wait=0.5) as made:
        result = made.load("ticks")
        assert (result.status, result.exit_code) == ("failed", 4)
        assert "0.5 s (tq.wait)" in str(result.error)
        assert "19:00 to 19:30 in Beijing" in str(result.error)
        made.sandbox.set_clock(f"{END}T19:30:00")
        assert count_days(made.load("ticks")) == DAYS


def test_a_proxy_that_gives_nothing_is_no_maintenance_to_wait_for(
    schedule_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    away = {"sandbox": "http://auth.example", "retries": 0, "wait": 2700}
    with bench(world(), schedule_dsn, tmp_path, **away) as made:
        result = made.load("ticks")
        assert (result.status, result.exit_code) == ("failed", 4)
        assert "a proxy or certificate blocks" in str(result.error)
        assert "ProxyError" in str(result.error)
        assert "HTTPS_PROXY" in result.hint
        assert "tq.wait" not in str(made.heard.lines)


def test_a_day_is_loaded_though_the_maintenance_begins_in_it(
    schedule_dsn: str, tmp_path: Path
) -> None:
    """The client itself waits ten seconds and more before it connects once more."""

    over = threading.Event()

    def begin(sandbox: "TqSandbox") -> Callable[[], None]:
        def watch() -> None:
            while not any("focus_datetime" in entry.detail for entry in list(sandbox.log)):
                if over.wait(0.01):
                    return
            sandbox.set_clock(EVENING)

        return watch

    before = f"{END}T18:59:00"
    with bench(
        world(),
        schedule_dsn,
        tmp_path,
        clock=before,
        faults=["maintenance", "slow:seconds=0.02"],
        wait=600,
        timeout=5,
    ) as made:
        thread = threading.Thread(target=begin(made.sandbox))
        thread.start()
        with ended_after(2, made.sandbox):
            result = made.load("ticks")
        over.set()
        thread.join()
        assert (result.status, count_days(result)) == ("succeeded", DAYS)
