"""dbt reads the files of seeds, or a copy in which what it could not read is marked."""

import os
import shutil
from collections import Counter
from pathlib import Path

import pytest

from loaders.settings import load_settings
from orchestration.run.seed_files import FOLDER, edited_columns, read_lines, readable_seeds
from quotemill.warehouse.dbt_project import find_project
from quotemill.warehouse.postgres import Warehouse

PROJECT_SEEDS = find_project().root / "seeds"
NOT_UTF8 = "unreadable line: must be UTF-8 text; save the file in this encoding"
TOO_LONG = "unreadable line: must have the cells of the header; quote a comma"


@pytest.mark.parametrize(
    ("written", "rows"),
    [
        (b"code,day\n1,2\n", [["1", "2"]]),
        (b"\xef\xbb\xbfcode,day\r\n1,2\r\n", [["1", "2"]]),
        ("code,day\n1,分\n2,3".encode("gbk"), [["1", NOT_UTF8], ["2", "3"]]),
        (b"code,day\n1\x00,2", [["1\ufffd", NOT_UTF8]]),
        (b"code,day\n1,2,3\n4,5,,\n", [["1", TOO_LONG], ["4", "5"]]),
        (b"code,day\n\n1\n \n1,2\n", [[], ["1", ""], [], ["1", "2"]]),
        (b' DAY ,note,"code"\n2,mine,1\n', [["1", "2"]]),
        (b'code,day\n"1, 2", "3 ""x"""\n', [["1, 2", '3 "x"']]),
        # a quote that ends nowhere takes no line along
        (b'code,day\n"1,2\n3,4\n', [["1,2", ""], ["3", "4"]]),
    ],
)
def test_a_line_that_cannot_be_read_says_so_and_costs_no_other(
    written: bytes, rows: list[list[str]]
) -> None:
    assert read_lines(written, ["code", "day"]) == (rows, [])


@pytest.mark.parametrize(
    ("written", "lacking"),
    [
        (b"", ["code", "day"]),
        (b"\r\ncode,day\r\n", ["code", "day"]),
        ("code,day".encode("utf-16"), ["code", "day"]),
        (b"code;day\n1;2\n", ["code", "day"]),
        (b"code,day,CODE\n1,2,3\n", ["code"]),
        (b"1,2\n", ["code", "day"]),
        (b'"code,day\n1,2\n', ["code", "day"]),
    ],
)
def test_a_header_without_a_column_is_named(written: bytes, lacking: list[str]) -> None:
    assert read_lines(written, ["code", "day"]) == ([], lacking)


def test_dbt_is_given_a_copy_only_of_a_folder_that_it_cannot_read(tmp_path: Path) -> None:
    seeds, copies = tmp_path / "seeds", tmp_path / "copies"
    shutil.copytree(PROJECT_SEEDS, seeds)
    away = Warehouse("postgresql://127.0.0.1:1/x", "test", False, "market", None, "test", tmp_path)
    with readable_seeds(seeds, copies, away):
        assert FOLDER not in os.environ
    name, columns = "price_limits", "board,valid_from,limit_percent,st_limit_percent"
    written = (seeds / f"{name}.csv").read_text()
    (seeds / f"{name}.csv").write_text(written + "main,2027-01-04,1,0,5,5,notice\n")
    (seeds / "code_changes_known.csv").unlink()

    with readable_seeds(seeds, copies, away):
        assert os.environ[FOLDER] == str(copies)
        # no unknown setting to a command that starts meanwhile
        load_settings(dict(os.environ) | {"QUOTEMILL_HOME": str(tmp_path)}, cwd=tmp_path)
        files = {path.name: path.read_text() for path in copies.iterdir()}

    assert files[f"{name}.csv"].startswith(f"{columns},days_without_limit,source\nmain,1996-12-16")
    assert files[f"{name}.csv"].endswith(f"\nmain,2027-01-04,1,0,5,{TOO_LONG}\n")
    assert files["code_changes_known.csv"].splitlines() == [
        "old_code,new_code,valid_from,source",
        ',,,"unreadable header: the file is missing or empty, or its header lacks old_code, '
        'new_code, valid_from, source"',
    ]
    assert files.keys() == {path.name for path in PROJECT_SEEDS.iterdir()}
    assert FOLDER not in os.environ
    assert not copies.exists()


def test_the_seeds_that_users_edit_end_with_a_remark() -> None:
    assert {name: columns[-1] for name, columns in edited_columns(PROJECT_SEEDS).items()} == {
        "corporate_action_overrides": "reason",
        "us_corporate_actions": "source",
        "code_changes_known": "source",
        "price_limits": "source",
    }


def test_the_seed_has_each_changed_code_of_beijing_once() -> None:
    lines, _ = read_lines(
        (PROJECT_SEEDS / "code_changes_known.csv").read_bytes(),
        edited_columns(PROJECT_SEEDS)["code_changes_known"],
    )
    beijing = [line for line in lines if line[0].startswith("bj")]
    assert len(beijing) == len({old for old, *_ in beijing}) == 248
    assert len({new for _, new, *_ in beijing}) == 248
    assert Counter(day for _, _, day, _ in beijing) == {"2025-05-06": 6, "2025-10-09": 242}
    # where the last digits of two codes were the same
    assert sum(old[-3:] != new[-3:] for old, new, *_ in beijing) == 26
    assert ["bj870726", "bj920926"] in [line[:2] for line in beijing]
