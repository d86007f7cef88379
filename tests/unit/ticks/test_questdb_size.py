"""The size of a QuestDB that deletes files meanwhile."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from loaders.ticks.questdb import server


def test_a_partition_that_goes_while_sizes_are_added_up_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "ts.d").write_bytes(b"x" * 10)
    (tmp_path / "purged").mkdir()
    (tmp_path / "purged" / "ts.d").write_bytes(b"x" * 5)
    scandir = os.scandir

    def purging(path: Any) -> Iterator[os.DirEntry[str]]:
        if str(path).endswith("purged"):
            raise FileNotFoundError(path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", purging)
    assert server._size(tmp_path) == 10
