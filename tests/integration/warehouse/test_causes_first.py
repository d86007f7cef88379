"""A wrong password, a server that is away, a full disk: the cause in one line, then the log."""

import errno
import os
import re
from pathlib import Path

import pytest

from loaders.files.whole_file import explain_unwritable
from loaders.warehouse.embedded import server as embedded
from loaders.warehouse.embedded.settings import ServerSettings
from quotemill.errors import UpstreamError
from tests.e2e.commands import Place
from tests.homes import new_home
from tests.integration.warehouse.conftest import ForeignServer, find_programs
from tests.small_disk import file_system, fill

CAUSES = {
    "password": "error: the warehouse {} cannot be reached: "
    'password authentication failed for user "postgres"',
    "server": "error: the warehouse {} cannot be reached: Connection refused",
}


@pytest.mark.parametrize("cause", CAUSES)
def test_a_warehouse_that_is_away_is_said_once_and_first(
    cause: str, foreign_server: ForeignServer, tmp_path: Path
) -> None:
    url = foreign_server.url("postgres", "wrong", "postgres")
    if cause == "server":
        url = "postgresql://postgres:wrong@127.0.0.1:9/postgres"
    label = url.replace(":wrong@", "@")
    said = CAUSES[cause].format(label)
    settings = {"QUOTEMILL_WAREHOUSE_URL": url, "QUOTEMILL_TDX__BASE_URL": "http://127.0.0.1:9"}
    place = Place(tmp_path, tmp_path / "home", settings)

    ran = place.inside("quotemill", "run")
    lines = ran.stderr.splitlines()
    assert (ran.returncode, lines.count(said)) == (4, 1), ran.stderr
    assert next(line for line in lines if not line.startswith("skipped")) == said
    assert lines[-1].startswith(f"log: {tmp_path / 'home' / 'logs' / 'run-'}")
    assert place.inside("loaders", "run", "tdx").stderr.splitlines()[0] == said
    assert place.inside("quotemill", "status").stderr.splitlines()[0] == said

    examined = place.inside("quotemill", "doctor").stdout.splitlines()
    assert examined[0].split(maxsplit=2) == ["fail", "warehouse", said.removeprefix("error: ")]
    # whose records are in the warehouse
    assert {"schedule", "alerts"}.isdisjoint(line.split()[1] for line in examined)


def test_a_full_disk_is_no_wrong_setting(tmp_path: Path) -> None:
    with file_system(tmp_path / "small", "64k") as small:
        fill(small)
        report = small / "report.html"
        with (
            pytest.raises(UpstreamError, match=f"{report} cannot be written: No space left"),
            explain_unwritable(report, hint="--out names another file"),
        ):
            report.write_text("x" * 4096)


def test_a_full_disk_is_said_before_that_the_server_does_not_start(tmp_path: Path) -> None:
    with new_home() as outer, file_system(outer / "home", "400m") as home:
        embedded.ensure_running(home)
        embedded.stop(home)
        fill(home)
        place = Place(tmp_path, home, {"QUOTEMILL_TDX__BASE_URL": "http://127.0.0.1:9"})
        said = place.inside("quotemill", "status").stderr.splitlines()
        assert re.match(rf"error: .* {home} .*\(0\.0 MB ", said[0]), said
        assert len(said) < 4
        (home / "filler").unlink()
        assert place.inside("quotemill", "status").returncode == 0
        embedded.stop(home)


def test_a_cause_that_the_server_logs_late_is_awaited(empty_home: Path) -> None:
    programs, (_, packaged) = empty_home / "bin", find_programs()
    programs.mkdir()
    for name in ("initdb", "postgres"):
        (programs / name).symlink_to(packaged / name)
    # returns before the server's log collector has written
    late = f"#!/bin/sh\n(sleep 1; echo 'LOG:  {os.strerror(errno.ENOSPC)}' >&2) &\nexit 1\n"
    (programs / "pg_ctl").write_text(late)
    (programs / "pg_ctl").chmod(0o755)
    with pytest.raises(UpstreamError, match=f"^the disk of {empty_home} is full "):
        embedded.ensure_running(empty_home, ServerSettings(programs=programs))
