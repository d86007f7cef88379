"""Kinds of instruments by ranges of codes, and a user's own lines."""

from pathlib import Path

import pytest

from loaders.tdx.files.vipdoc import has_trade
from quotemill.codes import read_code
from quotemill.errors import SettingsError, UsageError
from quotemill.instrument_ranges import (
    FIELDS,
    classify_code,
    explain_kind,
    known_ranges,
    price_decimals,
    read_ranges,
)

HEADER = ",".join(FIELDS)


@pytest.mark.parametrize(
    ("kind", "codes"),
    [
        (
            "stock",
            "sh605599 sh689009 sh900957 sz001979 sz302132 sz201872 bj430047 bj873169 bj920445",
        ),
        # ranges that came since 2020, and an ETF of bonds of 2025
        (
            "fund",
            "sh508000 sh520500 sh530000 sh551030 sh551900 sh563300 sh581000 sh589000 sz180101"
            " sz159001",
        ),
        ("index", "sh000688 sz399300 sz970070 sz980017 bj899050 sh880301 sh881001 sh999999"),
        (None, "sh519001 sh519069 sh521001 sh580001 sh113001 sh118000 sh132001 sh204001 sh240001"),
        (None, "sz128001 sz123075 sz121500 sz131810 sz149278 sz395013 bj889001 sh590000 bj880301"),
        # the vendor's counts and averages are no indices: their prices do not hold together
        (None, "sh880001 sh880005 sh880036"),
    ],
)
def test_the_kind_of_a_code_is_that_of_its_range(kind: str | None, codes: str) -> None:
    assert {code: classify_code(code) for code in codes.split()} == dict.fromkeys(
        codes.split(), kind
    )


def test_prices_have_the_decimals_of_their_range() -> None:
    decimals = {"sh600000": 2, "sh900901": 3, "sz200002": 2, "sh551030": 3, "sz180101": 3}
    kinds = {code: classify_code(code) for code in decimals}
    assert {code: price_decimals(code, kind or "") for code, kind in kinds.items()} == decimals
    # the service may list a fund that no range knows
    assert price_decimals("sh590000", "fund") == 3


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("113001", "113001 is one of the convertible bonds, which are not modelled"),
        ("131810", "131810 is one of the repurchases"),
        ("880005", "880005 is one of the offers, rights, votes or figures"),
        ("590000", "590000 is in no known range of codes"),
    ],
)
def test_digits_of_what_is_not_modelled_are_refused_with_the_reason(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=rf"{said}.* \(docs/datasets/codes\.md\)"):
        read_code(text)


def test_the_reviewed_ranges_have_no_wrong_line() -> None:
    assert known_ranges().mistakes == ()


def test_a_line_of_ones_own_counts_and_a_wrong_one_costs_itself(tmp_path: Path) -> None:
    path = tmp_path / "ranges.csv"
    lines = [
        "sh,590000,599999,fund,3,2026-01,a list",
        "sh,595000,595999,open_fund,,,a list",
        "sh,590000,599999,fund,3,,again",
        "hk,590000,599999,fund,3,,a list",
        "sh,59,599999,fund,3,,a list",
        "sh,599999,590000,fund,3,,a list",
        "sh,590001,599999,funds,3,,a list",
        "sh,590001,599999,fund,,,a list",
        "sh,590001,599999,fund,3,soon,a list",
        "sh,590001,599999,fund,3,,",
        "sh,590001,599999,fund,3,,a, list",
        "sh,590001,599999",
        "",
    ]
    path.write_text("\n".join([HEADER, *lines]), "utf-8")

    file = read_ranges(path)

    assert [(r.first_code, r.kind, r.price_decimals) for r in file.ranges] == [
        ("595000", "open_fund", None),
        ("590000", "fund", 3),
    ]
    said = [mistake.partition(": ")[2] for mistake in file.mistakes]
    assert said[0].startswith("sh 590000 to 599999 ")
    # the cell that is wrong, and its value
    assert [" ".join(text.split()[:2]) for text in said[1:]] == [
        "exchange 'hk'",
        "first_code '59'",
        "last_code '590000'",
        "kind 'funds'",
        "price_decimals is",
        "valid_since 'soon'",
        "source is",
        "a line",
        "a line",
    ]
    assert file.mistakes[0].startswith(f"{path}, line 4: ")
    path.write_text("exchange;first_code", "utf-8")
    with pytest.raises(SettingsError, match=" exchange, first_code"):
        read_ranges(path)


@pytest.mark.parametrize(
    ("volumes", "trades"), [((0, 0, 0), False), ((0, 7, 0), True), ((0, 0, 1), True), ((), True)]
)
def test_a_file_trades_if_a_share_was_traded_on_any_day(
    tmp_path: Path, volumes: tuple[int, ...], *, trades: bool
) -> None:
    file = tmp_path / "sh510051.day"
    file.write_bytes(b"".join(bytes(24) + v.to_bytes(4, "little") + b"\xff" * 4 for v in volumes))
    assert has_trade(file) is trades


def test_what_is_modelled_needs_no_explanation() -> None:
    assert explain_kind("sh600000") is None
