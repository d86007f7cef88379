"""A folder of whole files: what a kill left is never read, and errors say what to do."""

import errno
import json
import re
from pathlib import Path

import pytest

from loaders.files import whole_file
from loaders.files.folder import OWNER, OwnedFolder, check_size
from loaders.files.whole_file import unfinished
from quotemill.errors import DataQualityError, QuotemillError, SettingsError
from quotemill.systems import IS_POSIX


class Shelf(OwnedFolder):
    kind = "the shelf"
    setting = "shelf_folder"


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "shelf", "given")


def begin(shelf: Shelf, name: str, text: str) -> Path:
    path = shelf.path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished(path).write_text(text)
    return path


def test_a_file_has_its_name_only_once_it_is_finished(shelf: Shelf) -> None:
    path = begin(shelf, "2024/a.csv", "new")
    path.write_text("old")
    assert path.read_text() == "old"
    assert [*shelf.root.glob("**/*.csv")] == [path]
    shelf.finish(["2024/a.csv"])
    assert path.read_text() == "new"
    shelf.finish(["2024/a.csv"])  # after a kill between rename and record
    assert path.read_text() == "new"


def test_what_a_killed_command_was_writing_goes_and_whole_files_stay(shelf: Shelf) -> None:
    path = begin(shelf, "a.csv", "whole")
    shelf.finish(["a.csv"])
    left = begin(shelf, "2024/b.csv", "half")
    shelf.discard_unfinished()
    assert path.exists()
    assert not unfinished(left).exists()


def test_removing_a_file_removes_the_folders_that_it_leaves_empty(shelf: Shelf) -> None:
    for name in ("a/b/one", "a/two"):
        begin(shelf, name, "x")
    shelf.finish(["a/b/one", "a/two"])
    shelf.remove(["a/b/one", "never/there"])
    assert [p.name for p in shelf.root.iterdir()] == ["a"]
    assert [p.name for p in shelf.path("a").iterdir()] == ["two"]
    shelf.remove(["a/two"])
    assert [*shelf.root.iterdir()] == []


def test_one_warehouse_owns_a_folder_also_after_its_mark_was_cut_short(shelf: Shelf) -> None:
    shelf.root.mkdir()
    shelf.path(OWNER).touch()
    shelf.make("one", "the first")
    shelf.require_own("one")
    assert json.loads(shelf.path(OWNER).read_text())["warehouse_id"] == "one"
    with pytest.raises(SettingsError, match=re.escape(str(shelf.root))) as refused:
        shelf.make("two", "the second")
    assert "shelf_folder" in refused.value.hint


@pytest.mark.parametrize(
    ("number", "kind", "text"),
    [
        (errno.ENOSPC, QuotemillError, "no room left for the shelf in"),
        (errno.EACCES, SettingsError, r"\(given\) of the shelf cannot be used: Permission"),
    ],
)
def test_errors_of_the_file_system_become_messages(
    shelf: Shelf, number: int, kind: type[QuotemillError], text: str
) -> None:
    with pytest.raises(kind, match=text) as raised, shelf.usable():
        raise OSError(number, "Permission denied")
    assert "shelf_folder" in raised.value.hint


def test_a_damaged_file_is_named_with_what_is_wrong(shelf: Shelf) -> None:
    def damaged(path: Path, why: str) -> DataQualityError:
        return DataQualityError(f"{path}: {why}")

    path = begin(shelf, "a.csv", "four")
    shelf.finish(["a.csv"])
    check_size(path, 4, damaged)
    with pytest.raises(DataQualityError, match=r"a\.csv: 4 bytes instead of 5$"):
        check_size(path, 5, damaged)
    with pytest.raises(DataQualityError, match=r"b\.csv: .*missing"):
        check_size(shelf.path("b.csv"), 4, damaged)


def test_a_file_that_cannot_be_written_leaves_the_old_one_and_no_part(tmp_path: Path) -> None:
    path = tmp_path / "settings"
    whole_file.write(path, "old")
    with pytest.raises(UnicodeEncodeError):
        whole_file.write(path, "\ud800")
    assert [p.name for p in tmp_path.iterdir()] == ["settings"]
    assert path.read_text() == "old"


@pytest.mark.skipif(not IS_POSIX, reason="without /dev/null")
def test_a_device_is_written_to_and_a_link_keeps_naming_its_file(tmp_path: Path) -> None:
    nowhere, link, file = tmp_path / "nowhere", tmp_path / "link", tmp_path / "file"
    nowhere.symlink_to("/dev/null")
    whole_file.write(nowhere, "text")
    assert nowhere.is_char_device()
    link.symlink_to(file)
    whole_file.write(link, "text")
    assert (link.is_symlink(), file.read_text()) == (True, "text")
