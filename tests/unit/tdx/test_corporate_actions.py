"""Corporate actions from CSV files: good rows kept, bad ones named, nothing counted twice."""

import csv
import random
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from loaders.tdx.actions import PRECISION, ActionSet
from loaders.tdx.files.actions_csv import REQUIRED, read_actions
from quotemill.errors import SettingsError

HEADER = (
    "code,ex_date,cash_per10_yuan,bonus_per10,transfer_per10,bonus_total_per10,rights_per10,"
    "rights_price_yuan,total_shares_10k,float_shares_10k,adjusts_price"
)
DIVIDEND = "SH600000,2002-08-22,2.0000,0.0000,5.0000,5.0000,0.0000,0.0000,361500,60000,Y"
OTHER_DAY = "SH600000,2003-06-30,1.1000,0,0,0,0,0,391500,90000,Y"
CODES = ["sh600000", "sz000002"]
DIGITS, PLACES = PRECISION["cash_per10_yuan"]


def write(folder: Path, *lines: str, name: str = "actions.csv", header: str = HEADER) -> Path:
    path = folder / name
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return path


def read(folder: Path, *lines: str, header: str = HEADER) -> ActionSet:
    return read_actions(write(folder, *lines, header=header), CODES)


def test_a_row_becomes_an_action_with_exact_numbers(tmp_path: Path) -> None:
    (row,) = read(tmp_path, DIVIDEND).rows
    assert (row.code, row.ex_date, row.source, row.seq) == ("sh600000", date(2002, 8, 22), "csv", 1)
    assert (row.cash_per10_yuan, row.bonus_total_per10) == (Decimal("2.0000"), Decimal(5))
    assert (row.category, row.adjusts_price, row.split_ratio) == (1, True, None)
    assert row.source_ref == "actions.csv:2"


def test_every_real_row_is_read(real_tdx_data: Path) -> None:
    path = real_tdx_data / "corporate_actions.csv"
    result = read_actions(path, CODES)
    with path.open(encoding="utf-8") as file:
        recorded = list(csv.DictReader(file))
    assert result.rejected == []
    assert result.covers == set(CODES)
    assert len(result.rows) == len(recorded) == 61
    assert {(r.code.upper(), str(r.ex_date), r.cash_per10_yuan) for r in result.rows} == {
        (r["code"], r["ex_date"], Decimal(r["cash_per10_yuan"])) for r in recorded
    }
    assert sum(r.adjusts_price is True for r in result.rows) == 32


@pytest.mark.parametrize("code", ["SH600000", "sh600000", "Sh600000", "600000.SH", "600000.sh"])
def test_a_code_may_be_written_in_the_usual_ways(tmp_path: Path, code: str) -> None:
    assert read(tmp_path, DIVIDEND.replace("SH600000", code)).rows[0].code == "sh600000"


def test_columns_may_stand_in_any_order_beside_columns_of_the_user(tmp_path: Path) -> None:
    header = (
        "ex_date,announced,rights_price_yuan,rights_per10,bonus_total_per10,cash_per10_yuan,Code"
    )
    result = read(tmp_path, "2002-08-22,2002-08-10,0,0,5,2,sh600000", header=header)
    assert result.rows[0].bonus_total_per10 == 5
    assert result.rows[0].adjusts_price is None
    assert result.unknown_columns == ("actions.csv: announced",)


def test_a_file_saved_by_a_spreadsheet_is_read(tmp_path: Path) -> None:
    path = tmp_path / "actions.csv"
    path.write_bytes(b"\xef\xbb\xbf" + f"{HEADER}\r\n{DIVIDEND}\r\n\r\n".encode())
    result = read_actions(path, CODES)
    assert (len(result.rows), result.rejected) == (1, [])


def cell(name: str, value: str) -> str:
    cells = dict(zip(HEADER.split(","), DIVIDEND.split(","), strict=True)) | {name: value}
    return ",".join(cells.values())


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("code", "600000", "must look like"),
        ("code", "SH60000", "must look like"),
        ("code", "ＳＨ600000", "must look like"),
        ("ex_date", "2002/08/22", "must be a day"),
        ("ex_date", "20020822", "must be a day"),
        ("ex_date", "2002-02-30", "must be a day"),
        ("ex_date", "1980-01-02", "no exchange traded"),
        ("cash_per10_yuan", "", "must not be empty"),
        ("cash_per10_yuan", "-1.5", "must not be negative"),
        ("cash_per10_yuan", "inf", "plain decimal"),
        ("cash_per10_yuan", "1e3", "plain decimal"),
        ("cash_per10_yuan", '"1,500.00"', "plain decimal"),
        ("cash_per10_yuan", "1.5 yuan", "plain decimal"),
        ("cash_per10_yuan", "１.5", "plain decimal"),
        ("cash_per10_yuan", f"1.{'2' * (PLACES + 1)}", f"at most {PLACES} decimals"),
        ("rights_per10", "1" * (DIGITS - PLACES + 1), f"at most {DIGITS - PLACES} digits"),
        ("total_shares_10k", "x", "plain decimal"),
        ("bonus_total_per10", "4", "bonus_per10 + transfer_per10"),
        ("adjusts_price", "maybe", "must be Y, N or empty"),
    ],
)
def test_a_bad_row_is_named_by_file_line_field_and_rule(
    tmp_path: Path, name: str, value: str, rule: str
) -> None:
    result = read(tmp_path, OTHER_DAY, cell(name, value), DIVIDEND)
    assert [r.ex_date.year for r in result.rows] == [2002, 2003]
    (bad,) = result.rejected
    assert (bad.row_key, bad.field) == ("actions.csv:3", name)
    assert rule in bad.rule
    assert bad.value == value.strip('"')


def test_decimals_beyond_those_of_the_table_may_be_zeros(tmp_path: Path) -> None:
    text = "1.5" + "0" * PLACES
    assert read(tmp_path, cell("cash_per10_yuan", text)).rows[0].cash_per10_yuan == Decimal("1.5")


@pytest.mark.parametrize("line", ["SH600000,2002-08-22", f"{DIVIDEND},1", '"SH600000', "SH\x00,,"])
def test_a_row_of_another_form_does_not_take_the_next_ones_with_it(
    tmp_path: Path, line: str
) -> None:
    result = read(tmp_path, line, DIVIDEND)
    assert len(result.rows) == 1
    assert [r.row_key for r in result.rejected] == ["actions.csv:2"]


def test_a_row_that_is_not_utf8_is_rejected_alone(tmp_path: Path) -> None:
    path = tmp_path / "actions.csv"
    path.write_bytes(
        f"{HEADER},notes\n{OTHER_DAY},分红\n{DIVIDEND},".encode() + "分红".encode("gbk")
    )
    result = read_actions(path, CODES)
    assert len(result.rows) == 1
    assert "UTF-8" in result.rejected[0].rule


@pytest.mark.parametrize(
    ("header", "named"),
    [
        (HEADER.replace("ex_date", "date"), "ex_date"),
        (HEADER.replace(",", ";"), "rights_price_yuan"),
        ("", "code"),
        (f"{HEADER},code", "more than once"),
        (f"{HEADER},categroy", "did you mean category"),
    ],
)
def test_a_header_that_cannot_be_used_is_a_settings_error(
    tmp_path: Path, header: str, named: str
) -> None:
    with pytest.raises(SettingsError, match=named) as caught:
        read(tmp_path, DIVIDEND, header=header)
    assert "actions.csv" in str(caught.value)


def test_a_path_that_does_not_exist_is_a_settings_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nothing\.csv") as caught:
        read_actions(tmp_path / "nothing.csv", CODES)
    assert all(name in caught.value.hint for name in REQUIRED)
    with pytest.raises(SettingsError, match=r"no \*\.csv"):
        read_actions(tmp_path, CODES)


def test_a_folder_is_read_file_by_file(tmp_path: Path) -> None:
    write(tmp_path, OTHER_DAY, name="2003.csv")
    write(tmp_path, DIVIDEND, name="2002.csv")
    (tmp_path / "notes.txt").write_text("not read")
    result = read_actions(tmp_path, CODES)
    assert [r.source_ref for r in result.rows] == ["2002.csv:2", "2003.csv:2"]


@pytest.mark.parametrize("again", [DIVIDEND, DIVIDEND.replace("2.0000", "3.0000")])
def test_an_event_in_two_files_is_taken_once_and_both_places_are_named(
    tmp_path: Path, again: str
) -> None:
    write(tmp_path, DIVIDEND, name="a.csv")
    write(tmp_path, OTHER_DAY, again, name="b.csv")
    result = read_actions(tmp_path, CODES)
    assert [r.source_ref for r in result.rows] == ["a.csv:2", "b.csv:2"]
    (bad,) = result.rejected
    assert bad.row_key == "b.csv:3"
    assert "a.csv:2" in bad.rule


def test_a_row_repeated_in_its_file_is_taken_once(tmp_path: Path) -> None:
    same = DIVIDEND.replace("2.0000", "2").replace("SH", "sh")
    result = read(tmp_path, DIVIDEND, same)
    assert len(result.rows) == 1
    assert result.rejected[0].rule.endswith(" actions.csv:2")


def test_two_events_of_one_day_are_numbered_whatever_their_order(tmp_path: Path) -> None:
    rights = "SH600000,2002-08-22,0,0,0,0,3,8.5,361500,60000,Y"
    lines = [DIVIDEND, rights, OTHER_DAY]
    expected = [(r.seq, r.content()) for r in read(tmp_path, *lines).rows]
    assert [seq for seq, _ in expected] == [1, 2, 1]
    for seed in range(6):
        random.Random(seed).shuffle(lines)
        assert [(r.seq, r.content()) for r in read(tmp_path, *lines).rows] == expected


SPLIT_HEADER = f"{HEADER},category,split_ratio"
NOTHING = "SH600000,2014-06-27,0,0,0,0,0,0,,,"


def test_a_split_carries_its_ratio(tmp_path: Path) -> None:
    (row,) = read(tmp_path, f"{NOTHING},11,1.5", header=SPLIT_HEADER).rows
    assert (row.category, row.split_ratio) == (11, Decimal("1.5"))


@pytest.mark.parametrize(
    ("line", "field"),
    [
        (f"{NOTHING},11,", "split_ratio"),
        (f"{NOTHING},11,0", "split_ratio"),
        (f"{NOTHING},1,2", "split_ratio"),
        (f"{NOTHING},16,", "category"),
        (f"{NOTHING},1.0,", "category"),
        (f"{DIVIDEND},5,", "cash_per10_yuan"),
    ],
)
def test_a_row_that_contradicts_its_category_is_rejected(
    tmp_path: Path, line: str, field: str
) -> None:
    result = read(tmp_path, line, header=SPLIT_HEADER)
    assert [r.field for r in result.rejected] == [field]


def test_only_the_codes_asked_for_are_given(tmp_path: Path) -> None:
    result = read(tmp_path, DIVIDEND, DIVIDEND.replace("SH600000", "sz300001"))
    assert [r.code for r in result.rows] == ["sh600000"]
    assert result.covers == set(CODES)


def test_a_code_with_a_bad_row_is_not_covered(tmp_path: Path) -> None:
    assert read(tmp_path, cell("cash_per10_yuan", "x")).covers == {"sz000002"}


def test_while_the_code_of_a_bad_row_is_unknown_no_code_is_covered(tmp_path: Path) -> None:
    assert read(tmp_path, cell("code", "x"), OTHER_DAY).covers == frozenset()
    assert read(tmp_path, '"', OTHER_DAY).covers == frozenset()
