"""The life of a server of our own: `quotemill questdb …` as a person types it."""

import json
import os
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from loaders.ticks.questdb import server
from orchestration.cli.questdb import app
from quotemill.errors import QuotemillError, SettingsError, UpstreamError
from tests.integration.ticks.servers import SMALL, address_of, kill, open_at, require_questdb
from tests.ticks import KEY, day_of_ticks, write_day

Command = Callable[..., Any]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    require_questdb()
    yield tmp_path
    server.remove(server.server_folder(tmp_path))


@pytest.fixture
def command(home: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.setenv("QUOTEMILL_HOME", str(home))
    monkeypatch.setenv("QUOTEMILL_QUESTDB_URL", "local")
    monkeypatch.setenv("QUOTEMILL_QUESTDB__PORT", "0")
    monkeypatch.setenv("QUOTEMILL_QUESTDB__HEAP", "256m")
    monkeypatch.chdir(home)
    return lambda *args, **kwargs: CliRunner().invoke(app, list(args), **kwargs)


def test_the_status_names_the_server_that_it_is_about(
    command: Command, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert f"{'server:':20} the QuestDB of {home}\n" in command("status").stdout
    monkeypatch.setenv("QUOTEMILL_QUESTDB_URL", "http://ticks.example:9000")
    shown = command("status").stdout
    assert f"QuestDB of {home}, " in shown


@pytest.mark.long
def test_a_server_from_its_start_to_its_removal(command: Command, home: Path) -> None:
    folder = home / "questdb"
    assert json.loads(command("status", "--json").stdout)["running"] is False
    assert not folder.exists(), "looking makes nothing"

    started = json.loads(command("start", "--json").stdout)
    assert started["running"] is True
    assert json.loads(command("start", "--json").stdout)["pid"] == started["pid"]
    address = address_of(folder)
    assert address.url == started["url"]
    assert address.password not in command("status").stdout + command("start").stdout
    assert _listening(started["pid"]) == [f"127.0.0.1:{address.url.rpartition(':')[2]}"]
    for file in ("password", "conf/server.conf"):
        assert stat.S_IMODE((folder / file).stat().st_mode) == 0o600, file
    for path, user in (("/exec", None), ("/exp", None), ("/exec", ("quotemill", "wrong"))):
        answer = httpx.get(
            address.url + path, params={"query": "select 1"}, auth=user, trust_env=False
        )
        assert answer.status_code == 401
    # a real server waits for the disk and creates no table unasked
    conf = (folder / "conf" / "server.conf").read_text()
    assert "cairo.commit.mode=sync\n" in conf
    assert "line.auto.create.new.tables=false\n" in conf
    assert "telemetry.enabled=false\n" in conf

    store = open_at(folder)
    store.prepare()
    seen = write_day(store, day_of_ticks(100))
    kill(folder)
    status = json.loads(command("status", "--json").stdout)
    assert (status["running"], status["pid"], status["url"]) == (False, None, None)
    assert command("stop").stdout == "was not running\n"
    command("start")
    # the same store goes on, at the new server's port
    assert store.measure(*KEY) == seen
    store.close()
    assert command("resume").stdout == "no table is suspended\n"

    assert command("stop").stdout == "stopped\n"
    refused = command("remove")
    assert "--yes" in refused.exception.hint
    assert folder.is_dir()
    assert json.loads(command("remove", "--yes", "--json").stdout) == {"removed": str(folder)}
    assert not folder.exists()
    assert json.loads(command("remove", "--yes", "--json").stdout) == {"removed": None}


def test_a_taken_port_is_a_wrong_setting(home: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        settings = SMALL.model_copy(update={"port": taken.getsockname()[1]})
        with pytest.raises(SettingsError, match=" port ") as raised:
            server.start(home / "questdb", settings)
    assert "QUOTEMILL_QUESTDB__PORT" in raised.value.hint
    assert server.find_running(home / "questdb") is None


def test_a_home_whose_last_port_is_taken_finds_another(home: Path) -> None:
    folder = home / "questdb"
    folder.mkdir()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        record = {"pid": 1, "port": taken.getsockname()[1], "version": "9"}
        (folder / "server.json").write_text(json.dumps(record))
        address = server.start(folder, SMALL.model_copy(update={"port": 0}))
    assert address.url != f"http://127.0.0.1:{record['port']}"
    assert server.find_running(folder) == address


def test_a_server_that_does_not_start_says_why(home: Path) -> None:
    with pytest.raises(UpstreamError, match=r"no\.such\.key") as raised:
        server.start(home / "questdb", SMALL, conf={"no.such.key": "1"})
    assert "server.log" in raised.value.hint


def test_a_lock_file_without_a_holder_is_no_server(tmp_path: Path) -> None:
    (tmp_path / "server.lock").write_text(f"{os.getpid()}\n")
    (tmp_path / "server.json").write_text(
        json.dumps({"pid": os.getpid(), "port": 1, "version": "9"})
    )
    assert server.find_running(tmp_path) is None
    assert server.stop(tmp_path) is False


def test_a_folder_that_cannot_be_created_is_a_wrong_setting(tmp_path: Path) -> None:
    require_questdb()
    (tmp_path / "file").write_text("")
    with pytest.raises(QuotemillError, match="Not a directory") as raised:
        server.start(tmp_path / "file" / "questdb", SMALL)
    assert raised.value.exit_code == 3


def _listening(pid: int) -> list[str]:
    """The addresses on which a process takes connections."""
    inodes = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        target = link.readlink().name if link.is_symlink() else ""
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    result = []
    for table in ("tcp", "tcp6", "udp", "udp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            listens = fields[3] == "0A" or table.startswith("udp")
            if fields[9] in inodes and listens:
                address, _, port = fields[1].partition(":")
                plain = address[-8:]  # the last four bytes of an address mapped to version 6
                host = ".".join(str(int(plain[i : i + 2], 16)) for i in (6, 4, 2, 0))
                result.append(f"{host}:{int(port, 16)}")
    return result
