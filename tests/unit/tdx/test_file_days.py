"""Warnings about day files."""

import os
import re
import struct
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from loaders.engine.window import Window
from loaders.settings import load_settings
from loaders.tdx.fetching.file_days import DayFiles
from loaders.tdx.files.written import State, make_cursor, state_in
from loaders.tdx.source import opened
from tests.unit.tdx.fake_context import fake_context

FIRST = date(2025, 6, 2)
NOW = datetime(2025, 6, 30, 12, 0, tzinfo=UTC)


def write_day(file: Path, *days: int) -> None:
    """Write bars at 10 yuan of a thousand shares."""
    file.write_bytes(
        b"".join(
            struct.pack("<5Ifii", day, 1000, 1000, 1000, 1000, 10_000.0, 1000, 0) for day in days
        )
    )


def list_warnings(files: Mapping[str, Path], states: Mapping[str, str]) -> list[str]:
    days, warnings = [FIRST + timedelta(days=n) for n in range(5)], list[str]()
    ctx = fake_context(
        load=SimpleNamespace(
            warn=warnings.append, cursors=lambda _: states, as_of=None, accepts_loss=lambda *_: 0
        ),
        day_files=files,
        window=Window(days, days[-1], 10, lambda _: False, days[-1]),
        clock=lambda: NOW,
        instrument_type=lambda _: "stock",
    )
    keys = list(files)
    for part in (keys[::2], keys[1::2]):  # a task reads its keys in several
        chosen = DayFiles.select(ctx, "kline_daily", part)
        outcomes = (chosen.outcome(key, None, None) for key in part)
        assert [outcome.failure for outcome in outcomes] == [None] * len(part)
    ctx.file_notes.say(ctx.load.warn)
    return warnings


def test_many_warnings_of_a_kind_hide_none_of_another(tmp_path: Path) -> None:
    files = {code: tmp_path / f"{code}.day" for code in (f"sh6000{n}" for n in range(10, 26))}
    for file in files.values():
        write_day(file, 20250602, 20250603)
        os.utime(file, (0, datetime(2025, 6, 2, 8, tzinfo=UTC).timestamp()))
    shrank = {"sh600025": f"2025-06-03 1 {3 * 32}"}  # the last to be read

    said = list_warnings(files, shrank)

    numbers = [re.findall(r"[0-9]+", text) for text in said]
    assert len([text for text in said if "2025-06-02" in text]) == 5
    assert ["11"] in numbers
    assert ["600025", "96", "64"] in numbers


def test_the_end_of_a_load_says_what_is_odd_in_files() -> None:
    warnings = list[str]()
    load: Any = SimpleNamespace(
        warehouse=SimpleNamespace(ask=lambda _: None),
        settings=load_settings({}),
        request=SimpleNamespace(mode="init"),
        cancelling=lambda: False,
        room=lambda: True,
        clock=lambda: NOW,
        warn=warnings.append,
    )
    with opened(load) as ctx:
        ctx.file_notes.add("shrank", "a.day shrank")
    assert warnings == ["a.day shrank"]


def test_a_word_at_the_end_of_a_cursor_says_nothing_of_the_file() -> None:
    state = State(1751270400000000000, 320000, 3735928559)
    cursor = make_cursor(date(2025, 6, 30), state)
    read = [state_in(text) for text in (cursor, f"{cursor} shares")]
    assert [(s, s and s.checksum) for s in read] == [(state, 3735928559)] * 2
    assert state_in("2025-06-30") is None
