"""The archive on a disk without room."""

import json
import re
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from quotemill.warehouse.postgres import Warehouse
from tests.e2e.commands import Place
from tests.integration.dbt.option_days import OPTION_DAYS
from tests.small_disk import file_system

pytestmark = OPTION_DAYS


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for a few files."""
    with file_system(tmp_path / "archive", "96k") as folder:
        yield folder


def test_a_full_disk_is_named_and_the_next_run_completes_the_archive(
    small_disk: Path, tmp_path: Path, warehouse: Warehouse
) -> None:
    place = Place(tmp_path, tmp_path / "home", {"QUOTEMILL_WAREHOUSE_URL": warehouse.url})
    archive = partial(place.inside, "quotemill", "archive", "--as-of=2026-11-30T15:00")
    done = archive(QUOTEMILL_IB__ARCHIVE_FOLDER=str(small_disk))
    assert done.returncode == 1
    assert re.search(f" room .* archive .* {small_disk}", done.stderr)
    written = list(small_disk.rglob("*.parquet"))
    assert written
    assert list(small_disk.rglob("*.new")) == []
    # the archive moves to a larger one
    larger = tmp_path / "larger"
    subprocess.run(["cp", "-r", str(small_disk), str(larger)], check=True)
    done = archive("--check", "--json", QUOTEMILL_IB__ARCHIVE_FOLDER=str(larger))
    report = json.loads(done.stdout)
    assert (done.returncode, report["damaged"]) == (0, [])
    assert len(list(larger.rglob("*.parquet"))) == 9 + len(report["compacted"]) - sum(
        month["files_before"] for month in report["compacted"]
    )
