"""The archive on a disk without room."""

import json
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.conftest import require
from tests.e2e.commands import Place


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for a few files."""
    folder = tmp_path / "archive"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=96k", "quotemill-test", str(folder)]
    done = subprocess.run(mount, capture_output=True, check=False)
    require("tmpfs", done.returncode == 0, "this user may not mount a file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_is_named_and_the_next_run_completes_the_archive(
    option_days: str, small_disk: Path, tmp_path: Path
) -> None:
    place = Place(tmp_path, tmp_path / "home", {"QUOTEMILL_WAREHOUSE_URL": option_days})
    archive = partial(place.inside, "quotemill", "archive", "--as-of=2026-11-30T15:00")
    done = archive(QUOTEMILL_IB__ARCHIVE_FOLDER=str(small_disk))
    assert done.returncode == 1
    assert f"no room left for the archive in {small_disk}" in done.stderr
    written = list(small_disk.rglob("*.parquet"))
    assert written
    assert list(small_disk.rglob("*.new")) == []
    # the archive moves to a larger one
    larger = tmp_path / "larger"
    subprocess.run(["cp", "-r", str(small_disk), str(larger)], check=True)
    done = archive("--check", "--json", QUOTEMILL_IB__ARCHIVE_FOLDER=str(larger))
    told = json.loads(done.stdout)
    assert (done.returncode, told["damaged"]) == (0, [])
    assert len(list(larger.rglob("*.parquet"))) == 9 + len(told["compacted"]) - sum(
        one["files_before"] for one in told["compacted"]
    )
