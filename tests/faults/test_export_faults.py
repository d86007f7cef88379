"""Exports where the disk is full, the folder is away, or the warehouse goes away."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.commands import Place
from tests.faults.test_export_kills import claims, hashes, place, run  # noqa: F401
from tests.small_disk import file_system


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with file_system(tmp_path / "disk", "320k") as folder:
        yield folder


def test_a_full_disk_is_named_and_the_next_export_finishes(
    place: Place,  # noqa: F811
    small_disk: Path,
    tmp_path: Path,
) -> None:
    copy = small_disk / "copy"
    words = ("export", "kline_daily", "--to", "parquet", str(copy))
    done = place.inside("quotemill", *words)
    assert done.returncode == 1
    assert re.search(f" room .* export .* {copy}", done.stderr)
    assert not (copy / "manifest.json").exists()
    assert list(copy.rglob("*.new")) == []
    # with room, of an umounted disk first
    moved = tmp_path / "moved"
    shutil.copytree(copy, moved)
    run(place, "export", "kline_daily", "--to", "parquet", str(moved))
    run(place, "export", "kline_daily", "--to", "parquet", str(tmp_path / "fresh"))
    assert hashes(moved) == hashes(tmp_path / "fresh") == claims(moved)
