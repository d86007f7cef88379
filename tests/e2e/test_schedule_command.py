"""`quotemill schedule` as a person or a timer starts it."""

import json
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.e2e.commands import Place

SETTINGS = """
    [tdx]
    base_url = "http://127.0.0.1:9"
    [ib]
    host = "127.0.0.1"
    [tq]
    account = "somebody"
    password = "secret"
    [schedule.hello]
    command = "status"
    when = "daily 12:00"
"""


@pytest.fixture
def place(tmp_path: Path, new_database: Callable[[], str]) -> Place:
    folder = tmp_path / "work"
    folder.mkdir()
    folder.joinpath("quotemill.toml").write_text(SETTINGS, "utf-8")
    return Place(folder, tmp_path / "home", {"QUOTEMILL_WAREHOUSE_URL": new_database()})


def shown(place: Place, *command: str) -> Any:
    done = place.inside("quotemill", "schedule", *command, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def promised(place: Place) -> list[str]:
    """The jobs whose next start a scheduler has written down."""
    query = "select name from ops.schedules where next_run_at is not null order by name"
    with psycopg.connect(place.settings["QUOTEMILL_WAREHOUSE_URL"]) as conn:
        return [name for (name,) in conn.execute(query).fetchall()]


def test_a_day_in_the_future_is_shown(place: Place) -> None:
    planned = shown(place, "simulate", "--date", "2026-11-27")
    slots = [start for start in planned["starts"] if start["job"] == "ib_snapshot"]
    assert [slots[0]["local"], slots[-1]["local"], len(slots)] == [
        "2026-11-27T09:30:00-05:00",
        "2026-11-27T13:00:00-05:00",
        8,
    ]
    [daily] = [start for start in planned["starts"] if start["job"] == "tdx_daily"]
    assert (daily["at"], daily["command"]) == ("2026-11-27T09:30:00+00:00", "quotemill run tdx")
    [note] = planned["notes"]
    assert re.fullmatch("2026-11-27: XNYS .* 18:00 UTC", note)
    off = {job for job, why in planned["idle"].items() if why == "off in its settings"}
    assert off == {"tdx_realtime", "tq_retention", "tq_live"}
    text = place.inside("quotemill", "schedule", "simulate", "hello", "--date", "2026-11-27")
    assert text.stdout == "Fri 2026-11-27 12:00:00 UTC  hello  quotemill status\n"
    week = ("--date", "2026-10-01", "--until", "2026-10-08")
    assert "tdx_daily" not in {
        start["job"] for start in shown(place, "simulate", *week)["starts"][:60]
    }


@pytest.mark.parametrize(
    "command", ["list", "simulate --date 2026-11-27", "install --cron --dry-run"]
)
def test_without_a_source_a_message_says_that_there_is_no_job(command: str, tmp_path: Path) -> None:
    bare = Place(tmp_path, tmp_path / "home")
    done = bare.inside("quotemill", "schedule", *command.split())
    assert done.returncode == 0
    says = "warning: no source is configured, so there is no job to start; fix: "
    assert done.stderr.startswith(says)
    assert "`quotemill doctor`" in done.stderr


def test_a_job_is_listed_disabled_and_enabled_again(place: Place) -> None:
    def state(job: str = "hello") -> tuple[str, Any]:
        rows = {row["job"]: row for row in shown(place, "list", "--as-of", "2026-11-21T06:00Z")}
        return rows[job]["state"], rows[job]["next_start"]

    assert state() == ("on", "2026-11-21 12:00:00+00:00")
    assert state("tdx_realtime") == ("off", None)
    assert place.inside("quotemill", "schedule", "disable", "hello").returncode == 0
    assert state() == ("disabled", None)
    enabled = place.inside("quotemill", "schedule", "enable", "hello")
    assert enabled.returncode == 0
    assert "no start is expected yet" in enabled.stderr
    assert promised(place) == []
    assert state() == ("on", "2026-11-21 12:00:00+00:00")
    assert "hello" in place.inside("quotemill", "schedule", "list").stdout


def test_due_jobs_are_started_and_recorded(place: Place) -> None:
    early = place.inside("quotemill", "schedule", "run", "--as-of", "2026-11-21T11:59Z")
    assert (early.returncode, early.stderr) == (0, "")
    due = place.inside("quotemill", "schedule", "run", "--as-of", "2026-11-21T12:00Z")
    assert due.returncode == 0, due.stderr
    assert "hello: `quotemill status` for 2026-11-21T12:00Z" in due.stderr
    again = place.inside("quotemill", "schedule", "run", "hello", "--as-of", "2026-11-21T12:00Z")
    assert re.search("hello: .* 2026-11-22 12:00:00 UTC", again.stderr)
    with psycopg.connect(place.settings["QUOTEMILL_WAREHOUSE_URL"]) as conn:
        rows = conn.execute("select exit_code from ops.runs where schedule = 'hello'").fetchall()
    assert rows == [(0,)]
    [listed] = [row for row in shown(place, "list") if row["job"] == "hello"]
    assert (listed["state"], listed["last_exit_code"]) == ("on", 0)
    assert listed["last_run_at"] is not None


def test_a_warehouse_that_is_not_current_is_prepared_first(place: Place) -> None:
    place.inside("quotemill", "schedule", "run", "--as-of", "2026-11-21T11:58Z")
    names = "select name from ops.schema_migrations order by name"
    with psycopg.connect(place.settings["QUOTEMILL_WAREHOUSE_URL"]) as conn:
        before = conn.execute(names).fetchall()
        newest = "(select max(name) from ops.schema_migrations)"
        conn.execute(f"delete from ops.schema_migrations where name = {newest}".encode())
    done = place.inside("quotemill", "schedule", "run", "--as-of", "2026-11-21T11:59Z")
    assert (done.returncode, done.stderr) == (0, "")
    with psycopg.connect(place.settings["QUOTEMILL_WAREHOUSE_URL"]) as conn:
        assert conn.execute(names).fetchall() == before


def test_units_are_written_to_the_given_folder(place: Place, tmp_path: Path) -> None:
    folder = str(tmp_path / "units")
    install = ("quotemill", "schedule", "install", "--systemd", "--folder", folder)
    dry = place.inside(*install, "--dry-run")
    assert "ExecStart=" in dry.stdout
    assert not Path(folder).exists()
    done = place.inside(*install)
    assert done.returncode == 0, done.stderr
    assert "QUOTEMILL_WAREHOUSE_URL" in done.stderr  # only this shell has it
    assert "daemon-reload" in done.stderr
    [unit] = Path(folder).iterdir()
    assert f"WorkingDirectory={place.folder}" in unit.read_text("utf-8")
    assert (place.home / "logs").is_dir()

    uninstall = ("quotemill", "schedule", "uninstall", "--systemd", "--folder", folder)
    assert place.inside("quotemill", "schedule", "run", "hello").returncode == 0
    assert "hello" in promised(place)
    assert place.inside(*uninstall).returncode == 0
    assert promised(place) == []
    # again, where something checked meanwhile: no file is there any more
    assert place.inside("quotemill", "schedule", "run", "hello").returncode == 0
    again = place.inside(*uninstall)
    assert (again.returncode, promised(place)) == (2, [])


def test_a_signal_ends_the_server(place: Place) -> None:
    process = place.start("quotemill", "schedule", "serve")
    assert process.stderr is not None
    assert process.stderr.readline().startswith("serving ")
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("command", "says", "code"),
    [
        (("run", "tdx_dayly"), "tdx_daily", 2),
        (("run", "--now"), "schedule run JOB --now", 2),
        (("simulate", "--date", "tomorrow"), "2024-06-28", 2),
        (("simulate", "--date", "2026-11-27", "--until", "2026-11-26"), "before", 2),
        (("install",), "--systemd", 2),
        (("install", "--cron", "--folder", "x"), "Leave out --folder", 2),
        (("list", "--as-of", "noon"), "not a time", 2),
    ],
)
def test_a_wrong_call_gets_a_hint_to_the_right_one(
    place: Place, command: tuple[str, ...], says: str, code: int
) -> None:
    done = place.inside("quotemill", "schedule", *command)
    assert done.returncode == code, done.stderr
    assert says in done.stderr
