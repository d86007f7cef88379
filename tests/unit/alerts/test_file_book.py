"""The alert book as a file."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from orchestration.alerts import file_book
from orchestration.alerts.book import Entry, on_this_host
from orchestration.cli import app

NIGHT = datetime(2026, 11, 20, 18, tzinfo=UTC)
AWAY = on_this_host("warehouse")
ENTRY = Entry(AWAY, "error", "it is away", "quotemill doctor", NIGHT, NIGHT)


def test_the_file_is_listed_where_there_is_no_warehouse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUOTEMILL_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    over = replace(ENTRY, cause=on_this_host("disk:home"), recovered_at=NIGHT)
    half = replace(ENTRY, cause="load:tdx", channels=["1 slack"])
    file_book.write(tmp_path, [over, ENTRY, half])
    assert file_book.read_entries(tmp_path)["load:tdx"] == half
    listed = CliRunner().invoke(app, ["alerts", "list"]).stdout
    assert re.search(f"{AWAY} .*since 2026-11-20 18:00 UTC, not ", listed)
    assert re.search("load:tdx .* 2026-11-20 18:00 UTC, .* 1 slack", listed)
    assert "disk:home" not in listed
    assert "disk:home" in CliRunner().invoke(app, ["alerts", "list", "--all"]).stdout
