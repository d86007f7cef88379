"""Builds by another orchestrator: on record, under the lock, with what to build."""

import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from loaders import log
from loaders.engine.progress import Silent
from loaders.settings import Settings
from loaders.warehouse.profiles import write_profile
from orchestration.checks import logscan
from orchestration.run.build import build
from orchestration.run.build_record import recorded_build
from orchestration.run.build_result import BuildResult
from orchestration.run.dbt_commands import run_dbt
from quotemill.errors import (
    LockHeldError,
    QuotemillError,
    SettingsError,
    UpstreamError,
    UsageError,
)
from quotemill.warehouse.postgres import Warehouse
from tests.bench import settings_at
from tests.checkout import own_checkout
from tests.dbt_parse import PROJECT, Dbt, Parsed
from tests.integration.dbt.conftest import MODELS
from tests.integration.dbt.raw import bar, land, security
from tests.integration.dbt.two_codes import CODES, DAYS, land_days
from tests.small_disk import file_system, fill

pytestmark = [MODELS, pytest.mark.usefixtures("models_alone")]
CHANGED = "the dbt project, a setting that it reads, the reader role or the edition has changed"
BARS = "raw_tdx.kline_daily"
NEWEST = (
    "select status, command, error, models_built from ops.builds order by build_id desc limit 1"
)


@pytest.fixture
def log_folder(tmp_path: Path) -> Iterator[Path]:
    log.start(tmp_path / "logs")
    yield tmp_path / "logs"
    log.stop()


@pytest.fixture
def settings(warehouse: Warehouse, tmp_path: Path) -> Settings:
    """Of a warehouse whose models are built, over no row, and on record."""
    made = settings_at(warehouse.url, tmp_path)
    with recorded_build(made, warehouse) as build:
        assert (build.tables, build.why) == (
            None,
            "no successful build yet, or none since a restore",
        )
        build.begin("first")
        build.end(True)
    return made


@pytest.mark.long
def test_the_orchestrator_of_the_how_to_builds_touched_rows_once(
    settings: Settings, warehouse: Warehouse, conn: psycopg.Connection
) -> None:
    page = (PROJECT.parent / "docs" / "how-to" / "orchestrators.md").read_text("utf-8")
    names: dict[str, Any] = {}
    exec(page.split("```python\n")[1].split("```")[0], names)

    def build() -> int | None:
        build_id: int | None = names["build_by_steps"](settings, warehouse)
        return build_id

    assert build() is None
    land(conn, "security", [security(code) for code in CODES])
    land_days(conn, DAYS[:3])
    build_id = build()
    assert conn.execute(
        "select status, command from ops.builds where build_id = %s", (build_id,)
    ).fetchall() == [("succeeded", "by steps")]
    [(built,)] = conn.execute("select count(*) from market.kline_daily_qfq")
    assert built == 3 * len(CODES)
    assert build() is None


def test_a_build_of_all_tables_says_why(
    settings: Settings, warehouse: Warehouse, conn: psycopg.Connection
) -> None:
    def explain(changed: Settings) -> tuple[list[str] | None, str]:
        with recorded_build(changed, warehouse) as build:
            return build.tables, build.why

    assert explain(settings) == ([], "")
    tdx = settings.tdx.model_copy(update={"corporate_actions": "xdxr"})
    assert explain(settings.model_copy(update={"tdx": tdx})) == (None, CHANGED)
    conn.execute("insert into ops.managed_relation values ('market', 'dropped')")
    assert explain(settings) == (None, "market.dropped no longer exists")


def test_a_reader_role_that_is_created_later_gets_its_grants(
    settings: Settings, warehouse: Warehouse, conn: psycopg.Connection
) -> None:
    warehouse = replace(warehouse, reader_role="quotemill_later_reader")

    def explain() -> str:
        with recorded_build(settings, warehouse) as build:
            build.begin("of the role")
            build.end(True)
            return build.why

    assert (explain(), explain()) == (CHANGED, "")
    conn.execute("create role quotemill_later_reader")
    try:
        assert (explain(), explain()) == (CHANGED, "")
    finally:
        conn.execute("drop role quotemill_later_reader")


def test_a_change_taken_back_after_a_failed_build_builds_all(
    settings: Settings, warehouse: Warehouse
) -> None:
    def fails(changed: Settings) -> None:
        with recorded_build(changed, warehouse) as build:
            build.begin("fails")
            build.end(False, "a line of a seed breaks a rule")

    def explain() -> str:
        with recorded_build(settings, warehouse) as build:
            return build.why

    fails(settings)
    assert explain() == ""
    tdx = settings.tdx.model_copy(update={"corporate_actions": "xdxr"})
    fails(settings.model_copy(update={"tdx": tdx}))
    fails(settings)
    assert explain().startswith("a build failed since")
    with recorded_build(settings, warehouse) as build:
        build.begin("all")
        build.end(True)
    assert explain() == ""


def test_the_log_names_the_build_from_its_start_to_its_end(
    settings: Settings, warehouse: Warehouse, conn: psycopg.Connection, log_folder: Path
) -> None:
    conn.execute("drop view quotemill_staging.stg_tq__contract cascade")
    since = datetime.now(UTC)
    result = build(settings, warehouse, Silent, arguments=["--select", "stg_tq__contract"])
    assert result is not None
    log.write("info", "later")
    until = datetime.now(UTC) + timedelta(seconds=1)
    lines = logscan.read_lines(log_folder, since, until, "build", result.build_id)
    assert [(line["source"], line["event"]) for line in lines] == [
        ("dbt", f"build {result.build_id} starts: dbt {result.command}"),
        ("dbt", f"build {result.build_id} succeeded"),
    ]


def test_only_a_good_build_of_all_touched_tables_counts_as_built(
    settings: Settings, warehouse: Warehouse, conn: psycopg.Connection
) -> None:
    def tables() -> list[str] | None:
        with recorded_build(settings, warehouse) as build:
            return build.tables

    land(conn, "kline_daily", [bar(CODES[0], DAYS[0], "12")])

    with pytest.raises(UsageError, match="not begun"), recorded_build(settings, warehouse) as build:
        build.end(True)
    assert tables() == [BARS]

    def raises() -> None:
        with recorded_build(settings, warehouse) as build:
            build.begin("raises")
            raise ZeroDivisionError("by hand")

    with pytest.raises(ZeroDivisionError):
        raises()
    assert conn.execute(NEWEST).fetchone() == (
        "failed",
        "raises",
        "ZeroDivisionError: by hand",
        None,
    )
    with recorded_build(settings, warehouse) as build:
        build.begin("says nothing")
    assert conn.execute(NEWEST).fetchone() == (
        "failed",
        "says nothing",
        "the caller did not record how it ended",
        None,
    )
    with recorded_build(settings, warehouse) as build:
        build.begin("of some models", part=True)
        build.end(True, figures={"models_built": 3})
    assert conn.execute(NEWEST).fetchone() == ("succeeded", "of some models", None, 3)
    assert tables() == [BARS]

    with recorded_build(settings, warehouse) as build:
        build.begin("all")
        land(conn, "kline_daily", [bar(CODES[0], DAYS[1], "12")])
        build.end(True)
    assert tables() == [BARS]  # what landed meanwhile
    with recorded_build(settings, warehouse) as build:
        build.begin("the rest")
        build.end(True)
    assert tables() == []


def test_the_lock_is_held_and_passed_to_dbt(
    settings: Settings, warehouse: Warehouse, dbt: Dbt, conn: psycopg.Connection
) -> None:
    with recorded_build(settings, warehouse):
        with pytest.raises(LockHeldError), recorded_build(settings, warehouse):
            pass
        dbt("run", "--select", "symbol_dim")
    assert conn.execute("select count(*) from ops.builds").fetchone() == (1,)  # none was begun


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("raise disk_full using message = 'could not extend file'", "has no room left: could not"),
        ("perform pg_terminate_backend(pg_backend_pid())", "(terminating|closed the) connection"),
    ],
)
def test_a_full_disk_and_a_server_that_dies_in_a_build_are_exit_4(
    settings: Settings,
    warehouse: Warehouse,
    conn: psycopg.Connection,
    capfd: pytest.CaptureFixture[str],
    fault: str,
    said: str,
) -> None:
    conn.execute("drop view quotemill_staging.stg_tq__contract cascade")
    make = "create function fail() returns event_trigger language plpgsql as 'begin {}; end'"
    conn.execute(make.format(fault.replace("'", "''")).encode())
    conn.execute(
        "create event trigger fails on ddl_command_start when tag in ('CREATE VIEW') "
        "execute function fail()"
    )
    selected = ["--select", "stg_tq__contract"]

    with pytest.raises(UpstreamError, match=said) as built:
        build(settings, warehouse, Silent, arguments=selected)
    with pytest.raises(UpstreamError, match=said) as passed_on:
        run_dbt(settings, ["run", *selected])

    for raised in (built, passed_on):
        assert "\n" not in str(raised.value)
        assert "dbt.log." in raised.value.hint
    assert "Traceback" not in "".join(capfd.readouterr())
    [(status, _, error, _)] = conn.execute(NEWEST)
    assert status == "failed"
    assert re.search(said, error)


def test_a_home_without_room_is_exit_4_and_prints_no_traceback(
    parsed: Parsed,
    warehouse: Warehouse,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("DBT_LOG_LEVEL_FILE", "debug")
    selected = ["--select", "stg_tq__contract"]
    with file_system(tmp_path / "home", "8m") as home:
        settings = settings_at(warehouse.url, home)
        monkeypatch.setattr("orchestration.run.build.dbt_target", lambda *_: home / "target")
        write_profile(warehouse, home / "target")
        # each command would parse everything
        shutil.copy(parsed.target / "partial_parse.msgpack", home / "target")
        (home / "logs").mkdir()
        filler = fill(home)

        with pytest.raises(UpstreamError, match=r"no room left for dbt.s files: .Errno 28"):
            build(settings, warehouse, Silent, arguments=selected)
        with pytest.raises(UpstreamError, match=r"no room left for dbt.s files: .Errno 28"):
            run_dbt(settings, ["run", *selected])
        assert "Traceback" not in "".join(capfd.readouterr())

        # the models alone find no room
        filler.unlink()
        monkeypatch.setenv("DBT_LOG_LEVEL_FILE", "none")
        assert run_dbt(settings, ["run", *selected]) == 0
        fill(home)
        with pytest.raises(UpstreamError, match=r"no room left for dbt.s files: .Errno 28"):
            run_dbt(settings, ["run", "--select", "stg_tq__settlement"])


@pytest.mark.long
def test_a_model_of_a_user_that_fails_is_exit_5_and_one_that_does_not_compile_3(
    settings: Settings,
    warehouse: Warehouse,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    project = own_checkout(tmp_path / "checkout")
    monkeypatch.chdir(project)
    monkeypatch.delenv("DBT_LOG_LEVEL_FILE", raising=False)
    monkeypatch.setattr("orchestration.run.build.dbt_target", lambda *_: tmp_path / "target")
    model = project / "models" / "own" / "rates.sql"
    model.parent.mkdir()

    def build_with(text: str) -> BuildResult | None:
        model.write_text(text, "utf-8")
        return build(settings, warehouse, Silent, arguments=["--select", "rates"])

    for wrong in ("select no_column", "select {{ no_macro() }}"):
        failed = build_with(wrong)
        assert failed is not None
        assert failed.exit_code == 5, failed.failures
        assert run_dbt(settings, ["run", "--select", "rates"]) == 5
    with pytest.raises(SettingsError, match="rates") as raised:
        build_with("select {{ 1 as x")
    assert "dbt.log" in raised.value.hint

    def break_down(*_: object) -> None:
        raise ZeroDivisionError("of dbt")

    monkeypatch.setattr("dbt.task.build.BuildTask.run", break_down)
    with pytest.raises(QuotemillError, match="internal error: ZeroDivisionError") as broken:
        build_with("select 1 as x")
    assert broken.value.exit_code == 1
    with pytest.raises(QuotemillError, match="internal error: ZeroDivisionError"):
        run_dbt(settings, ["build", "--select", "rates"])
    assert "Traceback" in (settings.home / "logs" / "dbt.log").read_text("utf-8")
    assert "Traceback" not in "".join(capfd.readouterr())
