"""Keys that fail every night: each is reported once, until it is loaded or acknowledged."""

from collections.abc import Callable
from itertools import count
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr

from loaders.engine.result import LoadResult
from loaders.errors import PartialError
from loaders.warehouse import migrate
from loaders.warehouse.postgres import open_warehouse
from orchestration.alerts import causes
from orchestration.alerts import check as alerts
from orchestration.alerts.settings import AlertSettings
from orchestration.checks import status
from orchestration.cli import jobs as commands
from orchestration.run import findings
from orchestration.run.stages import RunResult
from tests.integration.alerts.conftest import Hook
from tests.toy.bench import FILES, Toy, bench  # noqa: F401

Night = Callable[..., tuple[LoadResult, int]]


@pytest.fixture
def night(bench: Toy, hook: Hook) -> Night:  # noqa: F811
    """Load, with keys whose files are broken, then check alerts: the result, messages sent."""
    urls = [SecretStr(f"json://{hook.url}/")]
    own = AlertSettings(urls=urls, disk_percent=100)
    settings = bench.settings.model_copy(update={"alerts": own})
    numbers = count(4)

    def run(*broken: str, **request: Any) -> tuple[LoadResult, int]:
        number = next(numbers)
        for symbol, text in FILES.items():
            bench.write(symbol, f"{text}{number},50\n")
        for symbol in broken:
            (bench.folder / f"{symbol}.csv").unlink()
        result = bench.load(**({"keys": tuple(FILES)} | request))
        verdicts = causes.check_run(RunResult((result,), result.exit_code), settings)
        return result, alerts.check_and_notify(settings, verdicts).sent

    return run


def problems(toy: Toy) -> list[tuple[str, str]]:
    shown = status.read(open_warehouse(toy.settings))
    return [(check.text, check.fix) for check in shown.problems if "load" in check.fix]


def follow(toy: Toy, job_id: int | None) -> int:
    """The exit code of `quotemill jobs JOB --follow`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(commands, "load_settings", lambda: toy.settings)
        try:
            commands.jobs_command(job_id, follow=True, log=None, limit=20, json=False)
        except PartialError as error:
            return error.exit_code
    return 0


def acknowledge(toy: Toy, *names: str) -> int:
    with open_warehouse(toy.settings).connect() as conn:
        return findings.acknowledge(conn, "qa", names, "delisted", "me", None)


def test_further_failed_keys_are_sent_beside_a_standing_one(night: Night, hook: Hook) -> None:
    assert [night("AA")[1], night("AA")[1]] == [1, 0]
    assert "`quotemill findings --ack 'price AA' --reason " in hook.received[-1]["message"]
    result, sent = night("AA", "Bb", "cc")
    assert (result.exit_code, result.is_standing, sent) == (6, False, 1)
    text = "3 keys have failed and were not loaded since, the newest: price cc: cc.csv is not there"
    assert (
        f"{text}; also price Bb, price AA. `loaders retry 3` loads them"
        in hook.received[-1]["message"]
    )
    result, sent = night("AA", "cc")  # one is repaired: nobody needs to know
    assert (result.exit_code, result.is_standing, sent) == (6, True, 0)
    assert night("AA", "Bb", "cc")[1] == 1
    assert night()[1] == 1
    assert hook.titles == ["error: load:toy"] * 3 + ["resolved: load:toy"]


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
    assert "the newest: price AA: AA.csv is not there" in hook.received[-1]["message"]
    assert follow(bench, result.job_id) == 6


def test_failed_keys_stand_until_a_load_of_them_succeeds(
    bench: Toy,  # noqa: F811
    night: Night,
) -> None:
    night("AA", "Bb")
    result, sent = night("AA", "Bb", keys=("cc",))
    assert (result.exit_code, sent) == (0, 0)
    text = "keys that load 1 of toy could not load: price AA, price Bb: AA.csv is not there"
    assert problems(bench) == [(text, "loaders retry 1")]
    night(keys=("AA",))
    text = "keys that load 1 of toy could not load: price Bb: Bb.csv is not there"
    assert problems(bench) == [(text, "loaders retry 1")]
    bench.load(retry=True)
    assert problems(bench) == []


def test_a_home_of_before_has_the_failed_keys_of_its_loads(
    bench: Toy,  # noqa: F811
    night: Night,
) -> None:
    night("AA", "Bb")
    night(keys=("AA",))
    with psycopg.connect(bench.dsn) as conn:
        conn.execute("drop table ops.failed_keys")
        conn.execute("delete from ops.schema_migrations where name > '0001_warehouse.sql'")
    migrate.prepare(open_warehouse(bench.settings), [])
    assert [fix for _, fix in problems(bench)] == ["loaders retry 1"]
    assert bench.rows("select dataset, key, job_id from ops.failed_keys") == [("price", "Bb", 1)]
