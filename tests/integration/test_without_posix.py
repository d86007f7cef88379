"""Commands where Python has what it has on Windows (tests/without_posix): what works, what says no.

Moving open files, opening folders and options of processes fail as they do there; encodings, the
console and paths with backslashes are not tried.
"""

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psycopg
import pytest

from tests.conftest import ROOT
from tests.e2e.commands import BIN, Place, printed_sandbox
from tests.requirements import require, require_ib

HARNESS = str(ROOT / "tests" / "without_posix")
# holds a lock until a line comes; argv: a path, and whether it is a folder's
HOLDER = """
import sys
from pathlib import Path
from loaders.files import lock
with lock.hold(Path(sys.argv[1]), is_folder=sys.argv[2] == "True") as held:
    print(held is not None, flush=True)
    sys.stdin.readline()
"""
# a command as the console starts it, detached
START_OF_CONSOLE = """
from pathlib import Path
from orchestration.console.processes import Commands
try:
    Commands(Path("commands"), Path(), {}).start(["quotemill", "report"], "page")
except Exception as error:
    raise SystemExit(f"{type(error).__name__}: {error} {error.hint}")
"""
EVERYTHING = """
import importlib, pkgutil
from quotemill.systems import IS_POSIX
assert not IS_POSIX
for package in ("quotemill", "loaders", "orchestration"):
    for found in pkgutil.walk_packages(importlib.import_module(package).__path__, package + "."):
        if found.name != "quotemill.__main__":
            try:
                importlib.import_module(found.name)
            except ModuleNotFoundError as error:  # of an extra that is not installed
                assert error.name not in ("fcntl", "grp", "pwd", "resource"), found.name
"""


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A working directory without a POSIX system, and without a source or a server."""
    return Place(tmp_path, tmp_path / "home", {"PYTHONPATH": HARNESS})


@contextmanager
def sandbox(place: Place, source: str, *options: str) -> Iterator[str]:
    """A sandbox started by its command; the first line that it prints."""
    command = [str(BIN / "loaders"), "sandbox", source, "--port", "0", *options]
    with subprocess.Popen(
        command, env=place.environment(), cwd=place.folder, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline()
        finally:
            process.terminate()
            process.communicate()
    assert process.returncode == 0


def test_every_module_is_imported(place: Place) -> None:
    subprocess.run([sys.executable, "-c", EVERYTHING], env=place.environment(), check=True)


@pytest.mark.parametrize(
    "command",
    [
        "quotemill --help",
        "loaders --help",
        "quotemill warehouse start --help",
        "quotemill schedule install --help",
        "quotemill console --help",
        "quotemill settings",
        "quotemill init",
    ],
)
def test_a_command_without_a_server_works(place: Place, command: str) -> None:
    done = place(*command.split())
    assert done.returncode == 0, done.stderr


def test_settings_are_written_by_several_commands_at_once(place: Place) -> None:
    names = ("backups_kept=3", "log_megabytes=4", "log_days=5")
    commands = [
        subprocess.Popen([BIN / "quotemill", "settings", "--set", name], env=place.environment())
        for name in names
    ]
    assert [command.wait() for command in commands] == [0, 0, 0]
    written = (place.home / "quotemill.toml").read_text("utf-8").split("\n")
    assert {name.replace("=", " = ") for name in names} <= set(written)


@pytest.mark.parametrize("source", ["tdx", "ib", "tq"])
def test_a_sandbox_starts_and_ends(place: Place, source: str) -> None:
    with sandbox(place, source) as line:
        assert "127.0.0.1:" in line


def test_a_load_into_a_named_server_is_read_and_exported(place: Place, prepared_dsn: str) -> None:
    with sandbox(place, "tdx", "--codes", "2", "--days", "40") as line:
        url = "http://" + line.split("http://")[1].split()[0]
        names = {"QUOTEMILL_WAREHOUSE_URL": prepared_dsn, "QUOTEMILL_TDX__BASE_URL": url}
        doctor = place("quotemill", "doctor", **names)
        assert doctor.returncode == 0, doctor.stdout
        for dataset in ("codes", "trading_calendar", "kline_daily"):
            done = place("loaders", "run", "tdx", "--dataset", dataset, **names)
            assert done.returncode == 0, done.stderr
        run = f'schtasks /create /tn quotemill /sc daily /st 18:00 /tr "cmd /c cd /d {place.folder}'
        assert f"{run} && {BIN}" in doctor.stdout
    reading = """
import json, sys, quotemill
with quotemill.open(url=sys.argv[1]) as market:
    rows = market.sql("select count(*) as n from raw_tdx.kline_daily").to_arrow()
print(json.dumps(rows.to_pylist()))
"""
    command = [sys.executable, "-c", reading, prepared_dsn]
    done = subprocess.run(
        command, env=place.environment(), cwd=place.folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [{"n": 80}]
    export = ["export", "select * from raw_tdx.kline_daily", "bars", "--to", "csv"]
    for _ in range(2):
        done = place("quotemill", *export, QUOTEMILL_WAREHOUSE_URL=prepared_dsn)
        assert done.returncode == 0, done.stderr
    files = (place.folder / "bars").rglob("*.csv")
    assert sum(len(path.read_text("utf-8").splitlines()) - 1 for path in files) == 80


def test_contracts_and_chains_of_options_come_into_a_named_server(
    place: Place, prepared_dsn: str
) -> None:
    require_ib()
    options = ("--symbols", "AAPL,MSFT", "--synthetic", "0", "--clock", "2026-11-19T09:25:00")
    with printed_sandbox("ib", 3, *options, env=place.environment()) as (_, printed):
        names = {f"QUOTEMILL_IB__{name}": printed[name] for name in ("HOST", "PORT", "CLOCK")}
        names |= {"QUOTEMILL_WAREHOUSE_URL": prepared_dsn, "QUOTEMILL_IB__MAX_DTE": "20"}
        names |= {"QUOTEMILL_IB__STAGE": "1", "QUOTEMILL_IB__MAX_STRIKES_PER_EXPIRY": "2"}
        for mode, clock in (("discover", "09:25:00"), ("snapshot", "10:00:05")):
            httpx.post(f"{printed['control']}/clock", json={"clock": f"2026-11-19T{clock}"})
            done = place("loaders", "run", "ib", "--mode", mode, **names)
            assert done.returncode == 0, done.stderr
    with psycopg.connect(prepared_dsn) as conn:
        for table in ("contract", "chain_snapshot"):
            [(rows,)] = conn.execute(f"select count(*) from raw_ib.{table}".encode()).fetchall()
            assert rows > 0, table


@pytest.mark.soak
def test_futures_without_ticks_are_loaded_and_built(place: Place, prepared_dsn: str) -> None:
    is_there = all(importlib.util.find_spec(name) for name in ("tqsdk", "aiohttp"))
    require("tq", is_there, "the extra tq is not installed")
    options = ("--variety", "SHFE.cu", "--clock", "2025-11-14T18:00:00")
    with printed_sandbox("tq", 5, *options, env=place.environment()) as (_, printed):
        names = {f"QUOTEMILL_TQ__{name}": printed[name] for name in printed if name.isupper()}
        names |= {"QUOTEMILL_WAREHOUSE_URL": prepared_dsn, "QUOTEMILL_TQ__START": "2025-11-12"}
        done = place("quotemill", "run", "tq", "--as-of", "2025-11-14T18:00", **names)
    assert done.returncode == 3, done.stderr
    assert re.search("error: .* QuestDB .* Linux ", done.stderr)
    assert "set QUOTEMILL_QUESTDB_URL" in done.stderr
    with psycopg.connect(prepared_dsn) as conn:
        query = "select coverage, count(*) from futures.tick_coverage group by 1"
        assert conn.execute(query).fetchall() == [("missing", 3)]


@pytest.mark.parametrize(
    ("command", "way"),
    [
        ("quotemill warehouse start", "QUOTEMILL_WAREHOUSE_URL"),
        ("quotemill status", "QUOTEMILL_WAREHOUSE_URL"),
        ("quotemill questdb start", "QUOTEMILL_QUESTDB_URL"),
        ("quotemill schedule install --cron", "schtasks"),
        ("quotemill schedule uninstall --systemd", "schtasks"),
        ("quotemill schedule run", "schtasks"),
        ("quotemill schedule serve", "schtasks"),
    ],
)
def test_what_needs_posix_says_so_and_names_the_way(place: Place, command: str, way: str) -> None:
    done = place(*command.split())
    assert done.returncode == 3, done.stderr
    assert re.search(" Linux .*\nfix: .* WSL2", done.stderr)
    assert "/mnt/c/new_tdx" in done.stderr
    assert way in done.stderr


@pytest.mark.parametrize(
    ("code", "way"),
    [
        ("import quotemill; quotemill.open()", "QUOTEMILL_WAREHOUSE_URL"),
        (START_OF_CONSOLE, "type quotemill report in a terminal"),
    ],
)
def test_calls_that_need_posix_say_so(place: Place, code: str, way: str) -> None:
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, env=place.environment(), cwd=place.folder, capture_output=True, text=True
    )
    assert "SettingsError" in done.stderr
    assert " Linux " in done.stderr
    assert way in done.stderr
    assert [*place.folder.rglob("*.json")] == []


@pytest.mark.parametrize("is_folder", [False, True])
def test_a_lock_is_exclusive_and_vanishes_with_a_killed_process(
    place: Place, tmp_path: Path, is_folder: bool
) -> None:
    path = tmp_path / "folder" if is_folder else tmp_path / "lock"
    if is_folder:
        path.mkdir()

    def start() -> "subprocess.Popen[str]":
        command = [sys.executable, "-c", HOLDER, str(path), str(is_folder)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        return subprocess.Popen(command, env=place.environment(), text=True, **pipes)

    def read_line(process: "subprocess.Popen[str]") -> str:
        assert process.stdout is not None
        return process.stdout.readline().strip()

    with start() as first:
        assert read_line(first) == "True"
        with start() as second:
            assert read_line(second) == "False"
            second.kill()
        os.kill(first.pid, signal.SIGKILL)
    with start() as third:
        assert read_line(third) == "True"
        third.kill()
    assert not is_folder or not [*path.iterdir()]
