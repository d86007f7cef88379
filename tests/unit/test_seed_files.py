"""A file in seeds/ that dbt could not read is refused with its line."""

from collections import Counter
from pathlib import Path

import pytest
import yaml

from orchestration.run.seed_files import check_file, check_seeds
from quotemill.errors import SettingsError
from quotemill.warehouse.dbt_project import find_project

PROJECT_SEEDS = find_project().root / "seeds"
TYPES = {"code": "text", "day": "date", "number": "numeric(24, 9)", "count": "integer"}
HEADER = "code,day,number,count\n"


def check(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "some.csv"
    path.write_bytes(content)
    check_file(path, TYPES)


def test_the_shipped_files_are_readable() -> None:
    check_seeds(PROJECT_SEEDS)


@pytest.mark.parametrize(
    "written",
    [
        b"code,day,number,count",
        b"\xef\xbb\xbfcode,day,number,count\r\na,2024-02-29,-1.5,7\r\n",
        f'{HEADER}"a, ""b""\nc",,null,\n'.encode(),
    ],
)
def test_what_dbt_reads_passes(tmp_path: Path, written: bytes) -> None:
    check(tmp_path, written)


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("", "line 1: the file is empty"),
        ("code,day\n", "line 1: the header must be code,day,number,count"),
        ("\ncode,day,number,count\n", "line 1: the header must be code,day,number,count"),
        (f"{HEADER}a,2024-01-10,1,5,2\n", "line 2: it has 5 cells, the header has 4"),
        (f"{HEADER}a,2024-01-10,1,2\n\n", "line 3: it has 0 cells, the header has 4"),
        (f'{HEADER}"a,2024-01-10,1,2\nb,,,\n', "line 3: unexpected end of data"),
        (
            f"{HEADER}a,10-01-2024,1,2\n",
            "line 2: day is not a day such as 2024-06-03: '10-01-2024'",
        ),
        (
            f"{HEADER}a,2024-02-30,1,2\n",
            "line 2: day is not a day such as 2024-06-03: '2024-02-30'",
        ),
        (f"{HEADER}a,today,1,2\n", "line 2: day is not a day such as 2024-06-03: 'today'"),
        (f"{HEADER}a,,1e5,2\n", "line 2: number is not a plain decimal number such as 1.5: '1e5'"),
        (f"{HEADER}a,,NaN,2\n", "line 2: number is not a plain decimal number such as 1.5: 'NaN'"),
        (f"{HEADER}a,,,１\n", "line 2: count is not a whole number: '１'"),
        (f"{HEADER}a,,,2\nb,,,1.5\n", "line 3: count is not a whole number: '1.5'"),
        (f"{HEADER}a\0,,,2\n", "line 2: code is not text without null bytes: 'a\\x00'"),
    ],
)
def test_a_line_that_cannot_be_read_is_refused(tmp_path: Path, written: str, problem: str) -> None:
    with pytest.raises(SettingsError) as refused:
        check(tmp_path, written.encode())
    assert str(refused.value) == f"seeds/some.csv, {problem}"


def test_a_file_of_another_encoding_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"seeds/some\.csv, line 3: .*UTF-8"):
        check(tmp_path, f"{HEADER}a,,,\n分红,,,\n".encode("gbk"))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"seeds/some\.csv"):
        check_file(tmp_path / "some.csv", TYPES)


def test_the_seed_has_each_changed_code_of_beijing_once() -> None:
    lines = [
        line.split(",")
        for line in (PROJECT_SEEDS / "code_changes_known.csv").read_text("utf-8").splitlines()
    ]
    beijing = [line for line in lines if line[0].startswith("bj")]
    assert len(beijing) == len({old for old, *_ in beijing}) == 248
    assert len({new for _, new, *_ in beijing}) == 248
    assert Counter(day for _, _, day, *_ in beijing) == {"2025-05-06": 6, "2025-10-09": 242}
    # where the last digits of two codes were the same
    assert sum(old[-3:] != new[-3:] for old, new, *_ in beijing) == 26
    assert ["bj870726", "bj920926"] in [line[:2] for line in beijing]


def test_every_seed_of_dbt_names_the_types_of_its_columns() -> None:
    described = yaml.safe_load((PROJECT_SEEDS / "_seeds.yml").read_text("utf-8"))["seeds"]
    assert {seed["name"] for seed in described} == {
        path.stem for path in PROJECT_SEEDS.glob("*.csv")
    } - {"instrument_ranges", "universe"}
