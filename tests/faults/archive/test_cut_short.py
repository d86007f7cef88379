"""A compaction that is cut short: no row is found twice, and the next run finishes it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from loaders.files import whole_file
from loaders.files.whole_file import unfinished
from loaders.settings import Settings
from orchestration.archive import folder as folders
from orchestration.archive import ledger, swap
from orchestration.archive.folder import Folder
from orchestration.archive.ledger import New
from quotemill.warehouse.postgres import Warehouse
from tests.integration.dbt.option_days import PARTS, archived, files, rows


class Killed(BaseException):
    """Nothing of ours catches it."""


Patch = pytest.MonkeyPatch
pytestmark = pytest.mark.usefixtures("days")
STEPS = ("planned", "removed", "renamed", "recorded")


@pytest.mark.parametrize("step", STEPS)
def test_cut_short_at_any_step_no_row_is_there_twice(
    step: str, warehouse: Warehouse, settings: Settings, folder: Path, monkeypatch: Patch
) -> None:
    archived(settings, warehouse)
    before = rows(folder)
    views = {"views": ("chain_intraday",), "compact": True}

    def struck(owner: Any, name: str, *, after: bool = False, nth: int = 1) -> None:
        work, count = getattr(owner, name), [0]

        def strike(*args: Any, **rest: Any) -> Any:
            count[0] += 1
            if count[0] == nth and not after:
                raise Killed
            result = work(*args, **rest)
            if count[0] == nth:
                raise Killed
            return result

        monkeypatch.setattr(owner, name, strike)

    if step == "planned":
        struck(swap, "_carry_out")
    elif step == "removed":
        struck(whole_file, "remove", after=True, nth=2)
    elif step == "renamed":
        struck(whole_file, "rename", after=True)
    else:
        struck(swap.ledger, "delete_files")
    with pytest.raises(Killed):
        archived(settings, warehouse, **views)
    monkeypatch.undo()
    left = rows(folder)["chain_intraday"]
    assert len(left) == len(set(left))
    assert set(left) <= set(before["chain_intraday"])
    result = archived(settings, warehouse, **views)
    assert (result.exit_code, result.finished) == (0, 1)
    assert rows(folder) == before
    assert [name for name in files(folder) if "chain_intraday" in name] == [PARTS[1]]
    assert archived(settings, warehouse, check=True).damaged == []


def test_rows_that_go_from_one_large_file_to_another_are_never_in_both(
    warehouse: Warehouse, settings: Settings, folder: Path, monkeypatch: Patch
) -> None:
    # a file for each partition
    monkeypatch.setattr(folders, "_WAITING", 1)
    monkeypatch.setattr("orchestration.archive.compaction._MB", 5)
    small = settings.ib.model_copy(update={"target_file_size_mb": 1})
    archived(settings.model_copy(update={"ib": small}), warehouse, compact=True)
    before = rows(folder)["chain_intraday"]
    with warehouse.connect() as conn:
        held = ledger.find_partitions(conn, "options", "chain_intraday")
        by_path = {
            file.path: file
            for file in ledger.list_files(conn, "options")
            if file.view_name == "chain_intraday"
        }
    first, other = sorted(by_path)[:2]
    new = []
    for name, old in ((first, other), (other, first)):
        unfinished(folder / name).write_bytes((folder / old).read_bytes())
        contents = {p.place: p.content for p in held if p.path == old}
        new.append(New(replace(by_path[old], path=name), contents))
    finish = whole_file.rename

    def struck(path: Path) -> None:
        finish(path)
        raise Killed

    monkeypatch.setattr(whole_file, "rename", struck)
    with pytest.raises(Killed):
        swap.replace_files(warehouse, Folder(folder, "test"), "options", [first, other], new)
    monkeypatch.undo()
    left = rows(folder)["chain_intraday"]
    assert len(left) == len(set(left)) < len(before)
    done = archived(settings, warehouse, check=True)
    assert (done.exit_code, done.finished) == (0, 1)
    assert rows(folder)["chain_intraday"] == before
