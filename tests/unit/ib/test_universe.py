"""Symbols and groups of a stage, and mistakes in the file."""

from pathlib import Path

import pytest

from loaders.ib.contracts.universe import find_member, groups, list_mistakes, read_members, shipped
from loaders.ib.operations import settings_for_dbt
from loaders.ib.settings import IbSettings
from loaders.settings import load_settings
from orchestration.cli.archive import parse_symbols
from quotemill.codes import read_us_symbol
from quotemill.errors import SettingsError, UsageError

HEAD = "symbol,weight,group,enabled\n"


def make_settings(stage: int, universe: Path | None = None) -> IbSettings:
    return IbSettings(stage=stage, universe=universe)


def test_the_examples_serve_every_stage() -> None:
    assert len(read_members(shipped())) == 50
    assert groups(make_settings(0), None) == [("AAPL",)]
    assert groups(make_settings(1), None) == [("AAPL", "MSFT")]
    tens = groups(make_settings(2), None)
    assert [len(group) for group in tens] == [4, 3, 3]
    assert tens[0][:3] == ("AAPL", "MSFT", "NVDA")
    whole = groups(make_settings(3), None)
    assert len(whole) == 2
    assert sum(map(len, whole)) == 50


def test_named_symbols_narrow_the_universe_at_any_stage() -> None:
    assert groups(make_settings(0), ("MSFT", "BRK B")) == [("MSFT", "BRK B")]
    with pytest.raises(UsageError, match=r": NOPE$"):
        groups(make_settings(3), ("AAPL", "NOPE"))


def test_the_models_know_the_symbols_of_the_stage(tmp_path: Path) -> None:
    def symbols(universe: Path | None) -> str | None:
        ib = make_settings(1, universe).model_dump(include={"stage", "universe"})
        settings = load_settings({"QUOTEMILL_HOME": str(tmp_path)}, cwd=tmp_path, ib=ib)
        return settings_for_dbt(settings).get("ib_symbols")

    assert symbols(None) == "AAPL,MSFT"
    # a wrong file ends loads of options, not those of other sources
    assert symbols(tmp_path / "missing.csv") is None


def test_a_single_group_is_split_in_two(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text(HEAD + "".join(f"S{n},{n},,yes\n" for n in range(1, 6)))
    assert groups(make_settings(3, path), None) == [("S5", "S4", "S3"), ("S2", "S1")]


def test_a_disabled_symbol_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text(HEAD + "AAPL,9,A,false\nMSFT,8,A,true\nIBM,7,B,true\n")
    assert groups(make_settings(0, path), None) == [("MSFT",)]
    assert groups(make_settings(3, path), None) == [("MSFT",), ("IBM",)]
    path.write_text(HEAD + "AAPL,9,A,no\n")
    with pytest.raises(SettingsError, match=r"own\.csv"):
        groups(make_settings(0, path), None)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("symbol,weight\nAAPL,1\n", "no column group, enabled"),
        ("", "no column symbol, weight, group, enabled"),
        ("AAPL,1,A,true\n", "no column symbol, weight, group, enabled"),
        (HEAD + "aapl,1,A,true\n", "line 2: not a symbol like AAPL or BRK B: 'aapl'"),
    ],
)
def test_a_file_without_a_right_line_says_why(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text(text)
    with pytest.raises(SettingsError) as caught:
        groups(make_settings(3, path), None)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("goog,8,A,true", "AAPL or BRK B: 'goog'"),
        (",8,A,true", "AAPL or BRK B: ''"),
        ("GOOG,heavy,A,true", "weight 'heavy'"),
        ("GOOG,-1,A,true", "weight '-1'"),
        ("GOOG,1e999999999,A,true", "weight '1e999999999'"),
        ("GOOG,8,A,perhaps", "enabled 'perhaps'"),
        ("AAPL,8,B,true", "symbol AAPL appears twice"),
        ("GOOG,8,B,true,,more", "more cells"),
        ("GOOG,8,B", "fewer cells"),
        ("GOOG,8,A,true,FUT", "sec_type 'FUT'"),
        ("GOOG,8,甲,true", "not UTF-8 text"),
    ],
)
def test_a_mistake_costs_its_line_alone_and_names_it(line: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    head = HEAD.replace("\n", ",sec_type\n")
    path.write_bytes(f"{head}AAPL,9,A,true,\n{line}\nMSFT,7,B,true,\n".encode("gbk"))
    settings = make_settings(3, path)
    assert groups(settings, None) == [("AAPL",), ("MSFT",)]
    # its place is taken: MSFT is the third
    assert groups(make_settings(1, path), None) == [("AAPL",)]
    [mistake] = list_mistakes(settings)
    assert mistake.startswith(f"{path}, line 3: ")
    assert says in mistake
    assert find_member(settings, "AAPL").weight == 9


@pytest.mark.parametrize("written", ["BRK B", "BRK.B", "BRK_B", "BRKB"])
def test_the_letter_of_a_share_class_may_be_written_in_four_ways(
    written: str, tmp_path: Path
) -> None:
    path = tmp_path / "own.csv"
    path.write_text(f"{HEAD}{written},9,A,true\nMSFT,8,A,true\nBRK_B,7,A,true\n")
    settings = make_settings(3, path)
    assert groups(settings, None) == [("BRK B",), ("MSFT",)]
    [mistake] = list_mistakes(settings)
    assert mistake.startswith(f"{path}, line 4: symbol BRK B ")
    for asked in ("BRK B", "BRK.B", "BRK_B", "BRKB"):
        assert groups(settings, (asked,)) == [("BRK B",)]
    assert read_us_symbol(written) == "BRK B"  # of readers
    assert parse_symbols(written.lower()) == ("BRK B",)  # of the archive


def test_another_class_is_one_symbol_too(tmp_path: Path) -> None:
    assert read_us_symbol("HEIA") == read_us_symbol("HEI.A") == "HEI A"
    assert (read_us_symbol("LENB"), read_us_symbol("LEN")) == ("LEN B", "LEN")
    path = tmp_path / "own.csv"
    path.write_text(f"{HEAD}XYZ A,9,A,true\nXYZA,8,A,true\n")
    settings = make_settings(3, path)
    assert groups(settings, None) == groups(settings, ("XYZA",)) == [("XYZ A",)]
    [mistake] = list_mistakes(settings)
    assert mistake.startswith(f"{path}, line 3: symbol XYZA ")


def test_a_file_of_a_spreadsheet_is_read(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_bytes(("\ufeff" + HEAD + "AAPL,1,A,TRUE\n,,,\n").replace("\n", "\r\n").encode())
    assert [(m.symbol, m.is_enabled) for m in read_members(path)] == [("AAPL", True)]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"absent\.csv"):
        read_members(tmp_path / "absent.csv")


def test_an_index_is_marked_and_may_name_its_exchange(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    head = "symbol,weight,group,enabled,sec_type,exchange\n"
    path.write_text(head + "SPX,9,A,true,IND,\nNDX,8,A,true,ind,nasdaq\nAAPL,7,A,true,,SMART\n")
    settings = make_settings(3, path)
    assert [(m.symbol, m.sec_type, m.exchange) for m in read_members(path)] == [
        ("SPX", "IND", ""),
        ("NDX", "IND", "NASDAQ"),
        ("AAPL", "STK", ""),
    ]
    assert find_member(settings, "NDX").exchange == "NASDAQ"
    # a symbol of an earlier load that has left the file
    assert find_member(settings, "MSFT").sec_type == "STK"
