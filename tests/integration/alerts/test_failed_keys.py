"""Keys that fail every night: each is reported once, until it is loaded or acknowledged."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, tzinfo
from itertools import count
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr

from loaders.engine.result import LoadResult
from loaders.settings import Settings
from loaders.warehouse.postgres import open_warehouse
from orchestration.alerts import causes
from orchestration.alerts import check as alerts
from orchestration.alerts.settings import AlertSettings
from orchestration.checks import status
from orchestration.cli import loads as commands
from orchestration.run import findings, history
from orchestration.run.stages import RunResult
from quotemill.errors import PartialError
from tests.integration.alerts.conftest import Hook
from tests.toy import source as toy
from tests.toy.bench import FILES, Toy, bench  # noqa: F401


@dataclass(frozen=True)
class Night:
    """Load, with keys whose files are broken, then check alerts: the result, messages sent."""

    bench: Toy
    settings: Settings
    numbers: Iterator[int] = field(default_factory=lambda: count(4))

    def load(self, *broken: str, **request: Any) -> LoadResult:
        number = next(self.numbers)
        for symbol, text in FILES.items():
            self.bench.write(symbol, f"{text}9{number:03},50\n")  # slots ascend as text
        for symbol in broken:
            (self.bench.folder / f"{symbol}.csv").unlink()
        return self.bench.load(**({"keys": tuple(FILES)} | request))

    def __call__(self, *broken: str, **request: Any) -> tuple[LoadResult, int]:
        result = self.load(*broken, **request)
        verdicts = causes.check_run(RunResult((result,), result.exit_code), self.settings)
        return result, alerts.check_and_notify(self.settings, verdicts).sent


@pytest.fixture
def night(bench: Toy, hook: Hook) -> Night:  # noqa: F811
    urls = [SecretStr(f"json://{hook.url}/")]
    own = AlertSettings(urls=urls, disk_percent=100)
    return Night(bench, bench.settings.model_copy(update={"alerts": own}))


@pytest.fixture
def moments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the keys of the mode spot name a moment: they are not loaded again."""
    price, spot = toy.SOURCE.datasets
    passing = replace(toy.SOURCE, datasets=(price, replace(spot, recurs=False)))
    monkeypatch.setattr(toy, "SOURCE", passing)


def problems(toy: Toy) -> list[tuple[str, str]]:
    shown = status.read_status(toy.settings, open_warehouse(toy.settings))
    return [(check.sentence, check.fix) for check in shown.problems if "retry" in check.fix]


def follow(toy: Toy, job_id: int | None) -> int:
    """The exit code of `quotemill loads JOB --follow`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(commands, "load_settings", lambda: toy.settings)
        try:
            commands.loads_command(job_id, follow=True, log=None, limit=20, json=False)
        except PartialError as error:
            return error.exit_code
    return 0


def acknowledge(toy: Toy, *names: str) -> int:
    with open_warehouse(toy.settings).connect() as conn:
        return findings.acknowledge(conn, "qa", names, "delisted", "me", None)


@pytest.mark.long
def test_further_failed_keys_are_sent_beside_a_standing_one(night: Night, hook: Hook) -> None:
    assert [night("AA")[1], night("AA")[1]] == [1, 0]
    assert ": price AA: AA.csv is not there\n" in hook.received[-1]["message"]
    result, sent = night("AA", "Bb", "cc")
    assert (result.exit_code, result.is_standing, sent) == (6, False, 1)
    text, fix, *_ = (*problems(night.bench)[0], "")
    assert text.endswith(": 3 keys failed: price cc, price Bb, price AA: cc.csv is not there")
    assert hook.received[-1]["message"].startswith(f"{text}\nSince ")
    assert hook.received[-1]["message"].endswith(f"\nfix: {fix}")
    result, sent = night("AA", "cc")  # one is repaired: nobody needs to know
    assert (result.exit_code, result.is_standing, sent) == (6, True, 0)
    assert night("AA", "Bb", "cc")[1] == 1
    assert night()[1] == 1
    assert hook.titles == ["error: load:toy"] * 3 + ["resolved: load:toy"]


@pytest.mark.long
def test_a_further_symbol_that_fails_in_a_moment_is_sent_once(
    night: Night, hook: Hook, moments: None
) -> None:
    def slot(*broken: str) -> int:
        return night(*broken, mode="spot")[1]

    assert [slot("AA"), slot("AA")] == [1, 0]
    assert re.search(" of toy partial: 1 key failed, failed for AA\n", hook.received[-1]["message"])
    assert slot("AA", "Bb") == 1
    assert ", also Bb" in hook.received[-1]["message"]
    assert [slot("AA"), slot("AA", "Bb")] == [0, 0]  # it fails in every second slot
    assert slot() == 1
    assert hook.titles == ["error: load:toy"] * 2 + ["resolved: load:toy"]

    # beside a key that stands
    assert night("cc")[1] == 1
    assert [slot("AA"), slot("AA"), slot()] == [1, 0, 0]
    assert ", failed for AA" in hook.received[-1]["message"]
    assert night()[1] == 1
    assert hook.titles[-1] == "resolved: load:toy"


@pytest.mark.long
def test_a_further_key_of_a_scheduled_load_is_sent_once(
    bench: Toy,  # noqa: F811
    night: Night,
    hook: Hook,
    moments: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Ahead(datetime):
        """The clock of a machine that is ahead of the server's."""

        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + timedelta(minutes=5)

    monkeypatch.setattr(history, "datetime", Ahead)
    numbers = count(1)
    commands = {"spot": "loaders run --mode spot toy", "incremental": "loaders run"}

    def job(*broken: str, mode: str) -> int:
        """A job of the schedule: it loads alone, and the scheduler checks alerts."""
        run_id, name = f"run {next(numbers)}", f"toy_{mode}"
        with history.recorded(night.settings, commands[mode], run_id=run_id, schedule=name) as run:
            run.end(night.load(*broken, mode=mode).exit_code)
        return alerts.check_and_notify(night.settings, {}).sent

    for mode, names in (("spot", ("AA", "Bb")), ("incremental", ("price AA", "price Bb"))):
        sent = [job(*broken, mode=mode) for broken in (("AA",), ("AA",), ("AA", "Bb"), ("Bb",), ())]
        assert sent == [1, 0, 1, 0, 1]
        assert f" 6): {names[0]}" in hook.received[-3]["message"]
        assert f", also {names[1]}" in hook.received[-2]["message"]
        assert hook.titles[-3:] == [f"error: job:toy_{mode}"] * 2 + [f"resolved: job:toy_{mode}"]


@pytest.mark.long
def test_an_acknowledged_key_ends_alert_and_exit_code(
    bench: Toy,  # noqa: F811
    night: Night,
    hook: Hook,
) -> None:
    night("AA")
    assert follow(bench, 1) == 6
    assert acknowledge(bench, "price AA") == 1
    assert follow(bench, 1) == 0
    result, sent = night("AA")
    assert (result.status, result.exit_code, sent) == ("succeeded", 0, 1)
    assert follow(bench, 2) == 0
    assert hook.titles[-1] == "resolved: load:toy"
    assert problems(bench) == []
    retried = bench.load(retry=True)  # it may be there now
    assert ([task.keys for task in retried.tasks], retried.exit_code) == ([("AA",)], 0)
    result, sent = night("AA", "Bb")
    assert (result.exit_code, sent) == (6, 1)
    assert follow(bench, result.job_id) == 6
    assert acknowledge(bench, "price") == 2
    night()
    assert night("AA")[0].exit_code == 6  # it was loaded meanwhile: it fails again


def test_an_acknowledged_key_that_fails_for_another_reason_is_sent(
    bench: Toy,  # noqa: F811
    night: Night,
    hook: Hook,
) -> None:
    def edit(reason: str) -> None:
        with psycopg.connect(bench.dsn) as conn:
            conn.execute("update ops.failed_keys set reason = %s where key = 'AA'", (reason,))

    night("AA", "Bb")
    acknowledge(bench, "price AA")
    edit("12AA.csv is not there")
    assert (night("AA")[0].exit_code, night("AA", "Bb")[1]) == (0, 1)
    edit("the list lacks 3 codes")
    result, sent = night("AA", "Bb")  # beside a standing one
    assert (result.exit_code, result.is_standing, sent) == (6, False, 1)
    assert ": price AA, price Bb: AA.csv is not there" in hook.received[-1]["message"]
    assert follow(bench, result.job_id) == 6


def test_failed_keys_stand_until_a_load_of_them_succeeds(
    bench: Toy,  # noqa: F811
    night: Night,
) -> None:
    night("AA", "Bb")
    result, sent = night("AA", "Bb", keys=("cc",))
    assert (result.exit_code, sent) == (0, 0)
    text = "keys that load 1 of toy could not load: price Bb, price AA: Bb.csv is not there"
    assert problems(bench) == [(text, "quotemill retry 1")]
    night(keys=("AA",))
    text = "keys that load 1 of toy could not load: price Bb: Bb.csv is not there"
    assert problems(bench) == [(text, "quotemill retry 1")]
    bench.load(retry=True)
    assert problems(bench) == []
