"""dbt reads the files of seeds, or a copy in which what it could not read is marked."""

import os
from pathlib import Path

import pytest

from loaders.project import find_project
from loaders.settings import load_settings
from orchestration.run.seed_files import EDITED, FOLDER, readable_content, readable_seeds


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (b"code,day\n1,2\n", None),
        (b"\xef\xbb\xbfcode,day\r\n1,2\r\n", None),
        ("code,day\n1,分红\n".encode(), None),
        ("code,day\n1,分\n2,3".encode("gbk"), "code,day\n1,��\n2,3"),
        ("code".encode("utf-16"), "��c\0o\0d\0e\0"),
        (b"", ","),
        (b"\xef\xbb\xbf", ","),
        (b"\r\ncode,day\r\n", ",\r\ncode,day\r\n"),
        (None, ",\n"),
    ],
)
def test_what_dbt_cannot_read_of_a_file_is_replaced(
    tmp_path: Path, written: bytes | None, read: str | None
) -> None:
    path = tmp_path / "seed.csv"
    if written is not None:
        path.write_bytes(written)

    assert readable_content(path) == read


def test_dbt_is_given_a_copy_only_of_a_folder_that_it_cannot_read(tmp_path: Path) -> None:
    seeds, copies = tmp_path / "seeds", tmp_path / "copies"
    seeds.mkdir()
    for name in EDITED:
        (seeds / f"{name}.csv").write_text("a,b\n1,2\n")
    with readable_seeds(seeds, copies):
        assert FOLDER not in os.environ
    (seeds / f"{EDITED[0]}.csv").unlink()

    with readable_seeds(seeds, copies):
        assert os.environ[FOLDER] == str(copies)
        # no unknown setting to a command that starts meanwhile
        load_settings(dict(os.environ) | {"QUOTEMILL_HOME": str(tmp_path)}, cwd=tmp_path)
        files = {path.stem: path.read_text() for path in copies.iterdir()}

    assert files == {EDITED[0]: ",\n", **dict.fromkeys(EDITED[1:], "a,b\n1,2\n")}
    assert FOLDER not in os.environ
    assert not copies.exists()


def test_the_seeds_that_users_edit_are_those_that_dbt_reads_by_line() -> None:
    described = (find_project().root / "seeds" / "_seeds.yml").read_text()
    by_line = [part for part in described.split("  - name: ") if 'delimiter: "\\x1f"' in part]
    assert sorted(part.partition("\n")[0] for part in by_line) == sorted(EDITED)
