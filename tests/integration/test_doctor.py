"""Doctor checks of a used warehouse: each failure has a check, each check a fix."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest
from pydantic import SecretStr

from loaders import sources
from loaders.check import Check, describe_service
from loaders.settings import Settings, load_settings
from loaders.sources import landed_tables
from loaders.warehouse import migrate
from loaders.warehouse.postgres import open_warehouse
from orchestration.checks import gather, place
from orchestration.checks.place import Place, read_records
from orchestration.schedule import jobs, ledger
from orchestration.schedule.settings import JobSettings
from quotemill.warehouse.postgres import Warehouse
from tests.bench import settings_at

NOW = datetime.now(UTC)
SERVER = ("server", "version", "writable", "connections", "locks", "policies")
FAILED_LOAD = (
    "insert into ops.ingestion_jobs (source, lane, mode, status, requested_by, parameters, "
    "as_of, started_at, finished_at) "
    "values ('ib', 'ib', 'incremental', 'failed', '', '{}', now(), now(), now())"
)


@pytest.fixture
def settings(warehouse_dsn: str, tmp_path: Path) -> Settings:
    return settings_at(warehouse_dsn, tmp_path, tq={"account": "somebody", "password": "some"})


@pytest.fixture
def warehouse(settings: Settings) -> Warehouse:
    made = open_warehouse(settings)
    migrate.prepare(made, landed_tables())
    return made


def find_problems(
    settings: Settings, warehouse: Warehouse, now: datetime | None = None
) -> dict[str, Check]:
    checks = gather.gather(
        Place(settings, warehouse, now or datetime.now(UTC)), (*SERVER, *gather.RECORDS, "files")
    )
    # without the problem of every warehouse here: nothing was loaded
    return {
        c.name: c for c in checks if c.verdict != "ok" and c.sentence != "nothing was loaded yet"
    }


def test_a_new_warehouse_has_no_problems(settings: Settings, warehouse: Warehouse) -> None:
    assert find_problems(settings, warehouse) == {}


def test_a_full_disk_and_a_store_that_is_away_come_before_what_they_lead_to(
    settings: Settings, warehouse: Warehouse
) -> None:
    away = settings.model_copy(update={"questdb_url": SecretStr("http://127.0.0.1:9")})
    tdx = away.tdx.model_copy(update={"base_url": "http://127.0.0.1:9"})
    away = away.model_copy(update={"tdx": tdx})
    names = [check.name for check in gather.examine(away, NOW)]
    assert names.index("disk") < names.index("tick store") < names.index("service")
    assert names.index("service") < names.index("load")


def test_a_warning_of_a_service_has_no_fix_that_repeats_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    warned = describe_service("it answers", ["no quote of X", "no quote of Y"], {})
    monkeypatch.setattr(sources, "find", lambda _: SimpleNamespace(check=lambda *_: warned))
    checks = list(sources.check("tq", settings, NOW))
    assert [(c.verdict, c.sentence, c.fix) for c in checks] == [
        ("ok", "tq: it answers", ""),
        ("warn", "no quote of X", ""),
        ("warn", "no quote of Y", ""),
    ]


def test_the_doctor_judges_freshness_as_of_a_time(
    settings: Settings, warehouse: Warehouse, conn: psycopg.Connection
) -> None:
    conn.execute(FAILED_LOAD)
    conn.execute(
        "create schema if not exists qa; create view qa.freshness as "
        "select 'kline_daily' as dataset, 'tdx' as source, date '2025-06-26' as last_date, "
        "date '2025-06-27' as expected_date, "
        "current_setting('quotemill.as_of', true) is not null as is_stale, 1 as lag_trading_days"
    )
    for as_of, is_stale in ((datetime(2025, 6, 30, 10, tzinfo=UTC), True), (None, False)):
        checks = gather.examine(settings, NOW, as_of=as_of, names=["freshness"])
        assert [check.subject for check in checks] == ["kline_daily"] * is_stale


def test_a_stale_dataset_of_an_unknown_source_hides_none_below(
    settings: Settings, warehouse: Warehouse, conn: psycopg.Connection
) -> None:
    conn.execute(FAILED_LOAD)
    conn.execute(
        "create schema if not exists qa; create view qa.freshness as "
        "select dataset, source, date '2025-06-26' as last_date, "
        "date '2025-06-27' as expected_date, true as is_stale, 1 as lag_trading_days "
        "from (values ('a_table', 'nobody'), ('kline_daily', 'tdx')) as v (dataset, source)"
    )
    checks = gather.examine(settings, NOW, names=["freshness"])
    assert [(check.verdict, check.subject, check.fix) for check in checks] == [
        ("warn", "a_table", ""),
        (
            "warn",
            "kline_daily",
            "Set QUOTEMILL_TDX__CLIENT or QUOTEMILL_TDX__BASE_URL, then quotemill run",
        ),
    ]


def test_a_locked_table_is_awaited_and_named_once(
    settings: Settings,
    warehouse: Warehouse,
    conn: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reads = []
    monkeypatch.setattr(
        place, "read_records", lambda *given: (reads.append(1), read_records(*given))[1]
    )
    hasty = Place(settings, replace(warehouse, lock_timeout="50ms"), NOW)
    with conn.transaction():
        conn.execute("lock table ops.ingestion_jobs in access exclusive mode")
        checks = gather.gather(hasty, (*gather.RECORDS, "schedule"))
    assert [(check.name, check.verdict, check.exit_code) for check in checks] == [
        ("load", "fail", 75),
        ("schedule", "ok", 0),
    ]
    assert reads == [1]


def test_a_warehouse_of_a_newer_version_is_reported(
    settings: Settings, warehouse: Warehouse, conn: psycopg.Connection
) -> None:
    conn.execute("insert into ops.schema_migrations (name) values ('9999_later.sql')")
    check = find_problems(settings, warehouse)["version"]
    assert "9999_later.sql" in check.sentence
    assert check.fix.startswith("Install that version")
    assert (check.verdict, check.exit_code) == ("fail", 3)


def test_a_read_only_server_is_reported(
    settings: Settings, warehouse: Warehouse, conn: psycopg.Connection
) -> None:
    conn.execute(
        f'alter database "{conn.info.dbname}" set default_transaction_read_only = on'.encode()
    )
    check = find_problems(settings, warehouse)["server"]
    assert (check.verdict, check.exit_code) == ("fail", 3)


def test_folders_are_checked_before_there_is_a_warehouse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def list_failures(backups: str, archive: str) -> dict[str, str]:
        given = {"HOME": tmp_path / "home", "BACKUP_FOLDER": backups, "IB__ARCHIVE_FOLDER": archive}
        made = load_settings({f"QUOTEMILL_{name}": str(value) for name, value in given.items()})
        failures = [check for check in gather.examine(made) if check.verdict == "fail"]
        return {check.name: check.sentence for check in failures if check.name != "settings"}

    relative = list_failures("copies", "days")
    assert set(relative) == {"backup", "archive"}
    assert all("is a relative path" in text for text in relative.values())
    assert ": /no/disk " in list_failures("/no/disk/copies", "/srv/days")["backup"]
    monkeypatch.setattr("os.access", lambda folder, _: str(folder) != str(tmp_path / "locked"))
    (tmp_path / "locked").mkdir()
    locked = str(tmp_path / "locked" / "x")
    assert list_failures(locked, locked) == dict.fromkeys(
        ("backup", "archive"), f"{locked} cannot be written"
    )
    assert list_failures(str(tmp_path / "x"), str(tmp_path / "y")) == {}
    assert not (tmp_path / "home").exists()


def test_a_folder_above_that_may_not_be_entered_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exists(path: Path) -> bool:
        if "closed" in path.parts[:-1]:
            raise PermissionError(13, "Permission denied", str(path))
        return path == path.parent

    closed = tmp_path / "closed"
    given = {"HOME": closed / "home", "IB__ARCHIVE_FOLDER": closed / "days"}
    settings = load_settings({f"QUOTEMILL_{name}": str(value) for name, value in given.items()})
    monkeypatch.setattr(Path, "exists", exists)
    checks = gather.examine(settings, names=["home", "archive"])
    failures = {check.name: check.sentence for check in checks}
    assert failures["home"] == f"{closed / 'home'} cannot be written"
    assert failures["archive"] == f"{closed / 'days'} cannot be written"


def test_a_job_that_cannot_be_read_hides_no_other(settings: Settings, warehouse: Warehouse) -> None:
    own = JobSettings(command="status", when="daily 12:00")
    bad = own.model_copy(update={"when": "sometimes"})
    made = settings.model_copy(update={"schedule": {"a": bad, "b": bad, "late": own}})
    late = jobs.survey(made)[0]["late"]
    before = NOW - timedelta(days=2)
    warehouse.ask(lambda conn: ledger.register_jobs(conn, [late], before))
    checks = [check for check in gather.examine(made) if check.name == "schedule"]
    texts = [check.sentence for check in checks]
    assert [check.verdict for check in checks] == ["fail", "fail", "warn"]
    assert "schedule.a" in texts[0]
    assert "schedule.b" in texts[1]
    assert texts[2].startswith("nothing started late")


def test_too_many_connections_are_reported(settings: Settings, warehouse: Warehouse) -> None:
    many = replace(warehouse, max_overflow=900)
    check = find_problems(settings, many)["connections"]
    assert "915" in check.sentence
    assert "max_connections" in check.fix


def test_a_lock_held_for_days_is_reported(settings: Settings, warehouse: Warehouse) -> None:
    with warehouse.connect(application_name="quotemill build lock") as held:
        assert find_problems(settings, warehouse) == {}
        check = find_problems(settings, warehouse, NOW + timedelta(days=2))["locks"]
        assert f"pg_terminate_backend({held.info.backend_pid})" in check.fix
    assert "quotemill build lock" in check.sentence


def test_a_self_test_is_reported_until_one_passes(
    settings: Settings, warehouse: Warehouse, conn: psycopg.Connection
) -> None:
    for status, failed in (("failed", 2), ("passed", 0)):
        conn.execute(
            "insert into ops.testing_runs (source, kind, started_at, status, total, passed, "
            "failed, skipped) values ('tdx', 'selftest', now(), %s, 31, 29, %s, 0)",
            (status, failed),
        )
        tests = find_problems(settings, warehouse).get("tests")
        assert (tests and tests.fix) == ("loaders selftest tdx" if failed else None)


def test_a_futures_calendar_that_ends_soon_is_reported(
    settings: Settings, warehouse: Warehouse, conn: psycopg.Connection
) -> None:
    for days, is_reported in ((3, True), (40, False)):
        conn.execute(
            "insert into raw_tq.trading_day (trade_date, fetched_at, source_route, is_final) "
            "values (%s, now(), '', true)",
            (NOW.date() + timedelta(days=days),),
        )
        assert ("horizon" in find_problems(settings, warehouse)) == is_reported


def test_a_failed_load_is_reported_with_its_retry(
    settings: Settings, warehouse: Warehouse, conn: psycopg.Connection
) -> None:
    conn.execute(FAILED_LOAD)
    assert find_problems(settings, warehouse)["load"].fix == "quotemill retry 1"


def test_a_missing_or_foreign_archive_is_reported(
    settings: Settings, warehouse: Warehouse, conn: psycopg.Connection
) -> None:
    def list_failures(settings: Settings = settings) -> list[str]:
        checks = gather.gather(Place(settings, warehouse, NOW), ["archive"])
        return [check.sentence for check in checks if check.verdict == "fail"]

    assert list_failures() == []
    relative = settings.ib.model_copy(update={"archive_folder": Path("copies")})
    [refused] = list_failures(settings.model_copy(update={"ib": relative}))
    assert "copies is a relative path" in refused
    conn.execute(
        "insert into ops.archive_files (schema_name, path, view_name, codec, row_count, "
        "content_hash, size_bytes) "
        "values ('options', 'view=x/part-0.parquet', 'x', 'zstd', 1, '', 1)"
    )
    [gone] = list_failures()
    assert "part-0.parquet " in gone

    file = settings.home / "archive" / "view=x" / "part-0.parquet"
    file.parent.mkdir(parents=True)
    file.touch()
    assert list_failures() == []
    owner = {"warehouse_id": "another", "label": "elsewhere"}
    (settings.home / "archive" / ".owner.json").write_text(json.dumps(owner))
    [others] = list_failures()
    assert " (elsewhere)" in others


def test_a_server_without_its_programs_fails_before_the_first_load(tmp_path: Path) -> None:
    environ = {
        "QUOTEMILL_SERVER__PROGRAMS": str(tmp_path),
        "QUOTEMILL_HOME": str(tmp_path / "home"),
    }
    settings = load_settings(environ, cwd=tmp_path)
    checks = {check.name: check for check in gather.examine(settings)}
    assert checks["warehouse"].verdict == "fail"
    assert " initdb" in checks["warehouse"].sentence
