"""The recorder with the real client, and the loads of ticks that take what it recorded."""

import re
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from loaders.engine.result import LoadResult
from loaders.sandbox.tq.world import World
from loaders.tq.datasets.recording import NO_SESSION
from loaders.tq.live import recorder
from tests.bench import Heard
from tests.integration.tq.bench import Bench, bench, build_schedule
from tests.integration.tq.test_ticks import stored
from tests.integration.tq.worlds import BEFORE_ROLL, END, NEW, NEXT, ROLL, world

# an account without the history, for which the newest ticks are few
POOR = ("permission:feature=tq_dl", "reach:ticks=20")
STATUS = "select status from raw_tq.symbol_day where trading_day = %s"
HOLIDAYS = (date(2025, 10, 1), date(2025, 10, 2))


class Director(Heard):
    """Does something when a line of a load contains some words."""

    def __init__(self, cues: dict[str, Callable[[], object]]) -> None:
        super().__init__()
        self.cues = cues

    def line(self, text: str) -> None:
        super().line(text)
        for words in [words for words in self.cues if words in text]:
            self.cues.pop(words)()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "FLUSH", 0.05)
    # the sandbox has a tick every few minutes, and the clock follows them
    monkeypatch.setattr(recorder, "AFTER_CLOSE", -timedelta(minutes=30))


@pytest.fixture
def poor(schedule_dsn: str, tmp_path: Path) -> Iterator[Bench]:
    """The schedule is built; the account has no history, and the newest ticks reach not far."""
    with bench(world(), schedule_dsn, tmp_path, faults=POOR) as made:
        yield made


def record(made: Bench, start: str, end: str, **cues: Callable[[], object]) -> LoadResult:
    """Record from a clock on; the session passes to `end` once it records."""
    made.sandbox.set_clock(start)
    made.heard = Director({"recording": lambda: made.sandbox.set_clock(end), **cues})
    return made.load("live", clock=datetime.fromisoformat(start))


def load_evening(made: Bench, day: date) -> LoadResult:
    """The load of an evening, with the build in it."""
    made.heard = Heard()
    made.sandbox.set_clock(day)
    assert made.load(datasets=("main_events", "contract_daily")).status == "succeeded"
    build_schedule(made)
    return made.load("ticks")


def files(made: Bench) -> list[Path]:
    return sorted((made.settings.home / "tq").glob(f"*/recorded/{NEW}/*"))


def assert_whole(made: Bench) -> None:
    expected, landed = made.sandbox.tick_table(NEW, NEXT), stored(made, NEW, NEXT)
    for name in expected.column_names:
        assert landed[name].to_pylist() == expected[name].to_pylist(), name


@pytest.mark.long
def test_a_recorded_day_lands_whole_without_the_history(poor: Bench) -> None:
    poor.sandbox.faults.add(f"duplicate:contract={NEW}:day={NEXT}")
    night = record(poor, f"{END}T20:55:00", f"{NEXT}T01:00:00")
    assert (night.status, night.exit_code, night.warnings) == ("succeeded", 0, ())
    assert f" {NEXT} until 01:00:00: " in poor.heard.lines[-1]
    assert record(poor, f"{NEXT}T08:55:00", f"{NEXT}T15:00:00").warnings == ()
    assert len(files(poor)) == 2
    result = load_evening(poor, NEXT)
    assert poor.rows(STATUS, NEXT) == [("complete",)]
    assert_whole(poor)
    same = "20 recorded ticks were also returned by the servers, all identical"
    assert (result.status, poor.heard.lines.count(same)) == ("succeeded", 1)
    # what landed is deleted, but for the file that the next day follows
    assert len(files(poor)) == 1


def test_the_night_before_a_switch_records_the_new_contract(poor: Bench) -> None:
    record(poor, f"{BEFORE_ROLL}T20:55:00", f"{ROLL}T01:00:00")
    assert f"recording {NEW} ({ROLL}) until 01:00:00" in poor.heard.lines


@pytest.mark.long
def test_what_passed_between_two_recorders_is_missing_until_the_history_has_it(
    poor: Bench,
) -> None:
    record(poor, f"{END}T20:55:00", f"{NEXT}T01:00:00")
    late = record(poor, f"{NEXT}T13:40:00", f"{NEXT}T15:00:00")
    [hole] = late.warnings
    assert f"{NEW} {NEXT}: " in hole
    assert re.search(r"\d ticks .* 00:", hole)
    assert poor.heard.lines.count(f"warning: {hole}") == 1
    result = load_evening(poor, NEXT)
    assert poor.rows(STATUS, NEXT) == [("short",)]
    assert any(hole.partition(": ")[2] in warning for warning in result.warnings)
    assert (result.status, len(files(poor))) == ("succeeded", 2)
    # no other night writes it again, or reports it as news
    again = poor.load("ticks")
    assert (again.status, again.total("rows_new") + again.total("rows_changed")) == ("succeeded", 0)
    poor.sandbox.faults.clear()
    result = poor.load("ticks", since=NEXT, until=NEXT)
    assert poor.rows(STATUS, NEXT) == [("complete",)]
    assert_whole(poor)
    assert any("recorded ticks were also returned" in line for line in poor.heard.lines)
    assert len(files(poor)) == 1


@pytest.mark.long
def test_a_feed_that_is_frozen_is_named_and_never_a_success(
    new_database: Callable[..., str], tmp_path: Path
) -> None:
    served = World(
        ("SHFE.cu", "SHFE.au", "CFFEX.IF"),
        first=date(2025, 9, 1),
        end=END,
        ticks_per_day=150,
        default_ticks=150,
        holidays=HOLIDAYS,
    )
    copper, gold = (served.main_on(variety, NEXT) for variety in ("SHFE.cu", "SHFE.au"))
    with bench(served, new_database(), tmp_path, faults=[f"frozen:contract={gold}"]) as made:

        def thaw() -> None:
            made.sandbox.faults.clear()
            made.sandbox.set_clock(f"{NEXT}T02:30:00")

        # nothing has landed here: the servers are asked for calendar and hours
        cues: dict[str, Any] = {"while others have ticks": thaw}
        result = record(made, f"{END}T20:55:00", f"{END}T23:00:00", **cues)
        assert result.status == "succeeded"
        [warning] = result.warnings
        assert re.match(rf"{gold}: .* 10 minutes \(tq\.silence\), since 21", warning)
        assert [line for line in made.heard.lines if re.match(f"{gold} .*again$", line)]
        assert [line for line in made.heard.lines if line.endswith(": CFFEX.IF")]
        # without a night before a holiday
        rested = record(made, "2025-09-30T20:55:00", "2025-09-30T21:00:00")
        assert (rested.status, rested.tasks, made.heard.lines[-1]) == ("succeeded", (), NO_SESSION)

    quiet = {"silence": 0.2, "varieties": ["SHFE.cu", "SHFE.au"]}
    with bench(served, new_database(), tmp_path / "frozen", clock=f"{NEXT}T09:30", **quiet) as made:
        failed = record(made, f"{NEXT}T09:30:00", f"{NEXT}T09:30:00")
        assert (failed.status, failed.exit_code) == ("failed", 4)
        assert " 2 contracts " in str(failed.error)
        assert str(copper) in str(failed.error)
        assert made.rows("select count(*) from ops.failed_keys") == [(0,)]
