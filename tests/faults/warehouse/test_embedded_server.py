"""The embedded server after kills, and with what keeps it from starting."""

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from loaders.warehouse.embedded import server as embedded
from loaders.warehouse.embedded.settings import ServerSettings
from quotemill.errors import UpstreamError
from quotemill.warehouse.postgres import Warehouse
from tests.faults.scene import wait_until
from tests.integration.warehouse.clients import client as open_client

OpenAt = Callable[..., Warehouse]


def test_concurrent_first_starts_make_one_server(empty_home: Path) -> None:
    clients = [open_client(empty_home) for _ in range(3)]
    answers = [client.communicate(timeout=60) for client in clients]
    assert [client.returncode for client in clients] == [0, 0, 0], answers
    assert len({out.rsplit(" ", 1)[0] for out, _ in answers}) == 1


def test_a_killed_server_comes_back_with_committed_rows(empty_home: Path, open_at: OpenAt) -> None:
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
        wait_until("it starts", (empty_home / "postgres.lock").exists)
        client.kill()
        client.communicate()
    with open_at(empty_home).connect() as conn:
        assert conn.execute("select 1").fetchone() == (1,)


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


# writes a file, as far as it gets
INITDB = """#!/bin/sh
while test "$1" != -D; do shift; done
echo 18 >"$2/PG_VERSION"
echo 'initdb: error: could not write' >&2
exit 1
"""


def test_a_failed_initdb_shows_why_and_leaves_nothing_half_made(
    empty_home: Path, open_at: OpenAt
) -> None:
    programs = empty_home / "programs"
    programs.mkdir(parents=True)
    version = "#!/bin/sh\necho 'postgres (PostgreSQL) 18.1'\n"
    for name, text in (("initdb", INITDB), ("pg_ctl", version), ("postgres", version)):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    with pytest.raises(UpstreamError, match="initdb ") as caught:
        embedded.ensure_running(empty_home, ServerSettings(programs=programs))
    assert "could not write" in str(caught.value)
    assert list(empty_home.glob("postgres*/")) == []
    open_at(empty_home)


def test_a_leftover_of_a_killed_initdb_is_cleared(empty_home: Path, open_at: OpenAt) -> None:
    part = empty_home / "postgres.init-k1lled"
    part.mkdir()
    (part / "PG_VERSION").write_text("18\n")
    open_at(empty_home)
    assert not part.exists()
