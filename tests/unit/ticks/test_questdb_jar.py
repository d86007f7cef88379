"""Where the jar and Java come from, and what is not accepted."""

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from loaders.ticks.questdb import jar as questdb_jar
from loaders.ticks.questdb.jar import cached_jar, fetch_jar, find_java, present_jar
from loaders.ticks.settings import QuestdbSettings
from quotemill.errors import SettingsError, UpstreamError

JAR = b"a jar"
PATH = "/org/questdb/questdb/9.3.4/questdb-9.3.4.jar"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(questdb_jar, "SHA256", hashlib.sha256(JAR).hexdigest())
    return tmp_path / "cache" / "quotemill"


@pytest.fixture
def repository() -> Iterator[tuple[str, dict[str, bytes]]]:
    """A Maven repository's address, and its files by path."""
    files: dict[str, bytes] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = files.get(self.path)
            self.send_response(404 if body is None else 200)
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/maven", files
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_jar_is_fetched_once(cache: Path, repository: tuple[str, dict[str, bytes]]) -> None:
    url, files = repository
    files["/maven" + PATH] = JAR
    settings = QuestdbSettings(repository=url.replace("http://", "http://me:hush@"))
    assert present_jar(settings) is None
    jar = fetch_jar(settings)
    assert (jar.path, jar.origin) == (cached_jar(), url)
    assert jar.path.read_bytes() == JAR
    files.clear()
    assert fetch_jar(settings).origin == "cache"
    assert [path.name for path in cache.iterdir()] == ["questdb-9.3.4.jar"]


def test_another_file_is_not_taken_for_it(
    cache: Path, repository: tuple[str, dict[str, bytes]]
) -> None:
    url, files = repository
    files["/maven" + PATH] = b"something else"
    with pytest.raises(UpstreamError, match="checksum"):
        fetch_jar(QuestdbSettings(repository=url))
    assert list(cache.iterdir()) == []


def test_a_broken_jar_in_the_cache_is_fetched_again(
    cache: Path, repository: tuple[str, dict[str, bytes]]
) -> None:
    url, files = repository
    files["/maven" + PATH] = JAR
    cache.mkdir(parents=True)
    cached_jar().write_bytes(JAR[:2])
    assert fetch_jar(QuestdbSettings(repository=url)).path.read_bytes() == JAR


def test_a_repository_without_it_is_named_without_its_password(
    cache: Path, repository: tuple[str, dict[str, bytes]]
) -> None:
    url = repository[0].replace("http://", "http://me:hush@")
    with pytest.raises(UpstreamError, match="404") as raised:
        fetch_jar(QuestdbSettings(repository=url))
    assert "hush" not in str(raised.value)
    assert "questdb.repository" in raised.value.hint


@pytest.mark.parametrize("works", [True, False])
def test_maven_is_asked_where_no_repository_is_named(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, works: bool
) -> None:
    program = tmp_path / "mvn"
    copy = f'printf "{JAR.decode()}" > "${{p#-DoutputDirectory=}}/questdb-9.3.4.jar"'
    refuse = 'echo "[ERROR] cannot reach https://me:hush@mirror/x"; exit 1'
    program.write_text(
        f'#!/bin/sh\nfor p in "$@"; do case "$p" in '
        f"-DoutputDirectory=*) {copy if works else refuse};; esac; done\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    if works:
        assert fetch_jar(QuestdbSettings()).origin == "mvn"
        return
    with pytest.raises(UpstreamError, match="mirror/x") as raised:
        fetch_jar(QuestdbSettings())
    assert "hush" not in str(raised.value)


def test_a_jar_of_the_settings_is_used_as_it_is(cache: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.jar"
    with pytest.raises(SettingsError, match=str(own)):
        present_jar(QuestdbSettings(jar=own))
    own.write_bytes(b"whatever")
    assert fetch_jar(QuestdbSettings(jar=own)).path == own


def _java(folder: Path, version: str) -> Path:
    program = folder / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2025-01-01' >&2\n")
    program.chmod(0o755)
    return program


def test_java_is_searched_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own, home, path = (
        _java(tmp_path / name, version)
        for name, version in (("own", "21.0.1"), ("home", "18"), ("path", "17.0.2"))
    )
    monkeypatch.setenv("PATH", f"{path.parent}:/usr/bin:/bin")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    assert find_java(QuestdbSettings()).program == str(path)
    monkeypatch.setenv("JAVA_HOME", str(home.parent.parent))
    assert find_java(QuestdbSettings()).program == str(home)
    java = find_java(QuestdbSettings(java=own))
    assert (java.program, java.major) == (str(own), 21)


def test_an_old_java_is_passed_over_unless_the_settings_name_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = _java(tmp_path / "old", "1.8.0_392"), _java(tmp_path / "new", "17.0.2")
    monkeypatch.setenv("JAVA_HOME", str(old.parent.parent))
    monkeypatch.setenv("PATH", f"{new.parent}:/usr/bin:/bin")
    assert find_java(QuestdbSettings()).program == str(new)
    with pytest.raises(SettingsError, match="is Java 1"):
        find_java(QuestdbSettings(java=old))
    with pytest.raises(SettingsError, match="nothing"):
        find_java(QuestdbSettings(java=tmp_path / "nothing"))
