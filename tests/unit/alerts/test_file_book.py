"""The alert book as a file, and what others may put in its place."""

import contextlib
import os
import threading
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from orchestration.alerts import file_book
from orchestration.alerts.book import Entry, on_this_host, update_book
from orchestration.cli import app

NIGHT = datetime(2026, 11, 20, 18, tzinfo=UTC)
AWAY = on_this_host("warehouse")
ENTRY = Entry(AWAY, "error", "it is away", "quotemill doctor", NIGHT, NIGHT)


def test_only_a_regular_file_is_read_without_waiting(tmp_path: Path) -> None:
    place, other = tmp_path / "alerts.json", tmp_path / "other.json"
    assert file_book.write(tmp_path, [ENTRY])
    assert file_book.read(tmp_path) == {AWAY: ENTRY}
    place.rename(other)
    place.symlink_to(other)
    assert file_book.read(tmp_path) == {}
    place.unlink()
    os.mkfifo(place)

    def offer() -> None:
        with contextlib.suppress(OSError):
            place.write_bytes(other.read_bytes())

    # a reader that waits for a writer would get one, and an entry
    threading.Thread(target=offer, daemon=True).start()
    assert file_book.read(tmp_path) == {}


def test_an_alert_of_an_older_version_is_resolved_under_its_new_name(tmp_path: Path) -> None:
    names = ("warehouse", "disk:home", "report", "load:tdx")
    file_book.write(tmp_path, [replace(ENTRY, cause=name, is_known=True) for name in names])

    entries = file_book.read(tmp_path)

    assert list(entries) == [*map(on_this_host, names[:3]), "load:tdx"]
    [sent, *_] = update_book(entries, {AWAY: None}, NIGHT, None)
    assert (sent.entry.cause, sent.is_recovery) == (AWAY, True)


def test_the_file_is_listed_where_there_is_no_warehouse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUOTEMILL_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    over = replace(ENTRY, cause=on_this_host("disk:home"), recovered_at=NIGHT)
    half = replace(ENTRY, cause="load:tdx", channels=["1 slack"])
    assert file_book.write(tmp_path, [over, ENTRY, half])
    listed = CliRunner().invoke(app, ["alerts", "list"]).stdout
    assert f"{AWAY} since 2026-11-20 18:00 UTC, not sent: " in listed
    assert "load:tdx since 2026-11-20 18:00 UTC, sent only to 1 slack: " in listed
    assert "disk:home" not in listed
    assert "disk:home" in CliRunner().invoke(app, ["alerts", "list", "--all"]).stdout
