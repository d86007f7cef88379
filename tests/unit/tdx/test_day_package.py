"""Day packages, byte by byte."""

from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest

from loaders.sandbox.tdx.packages import BARS, CODES, pack
from loaders.tdx.files import vipdoc
from loaders.tdx.files.day_package import DayFiles, read_package
from quotemill.errors import DataQualityError

DAY = date(2025, 6, 30)
NOW = datetime(2025, 6, 30, 12, tzinfo=UTC)
Row = tuple[str, float, int]


def make(rows: dict[str, list[Row]], *, day: date = DAY, number: int | None = None) -> bytes:
    """A package with a close and shares of some codes of each exchange."""
    files = {}
    for exchange, listed in rows.items():
        codes, bars = np.zeros(len(listed), CODES), np.zeros(len(listed), BARS)
        for at, (digits, close, shares) in enumerate(listed):
            codes[at] = digits.encode(), at if number is None else number, "名".encode("gbk")
            for name in ("open", "high", "low", "close"):
                bars[name][at] = close
            bars["volume"][at], bars["amount"][at] = shares, 1e9
            bars["up"][at], bars["down"][at] = 1648, 580
        stem = f"{exchange}{day:%y%m%d}"
        files |= {f"{stem}.cod": codes.tobytes(), f"{stem}.md1": bars.tobytes()}
    return pack(files)


MARKET: dict[str, list[Row]] = {
    "sh": [("000001", 3444.43, 478_000_000), ("600000", 13.88, 70_123_457), ("510050", 2.834, 5)],
    "sz": [("000002", 6.42, 7_737_937_085), ("123001", 101.5, 10), ("000003", 0.0, 0)],
    "bj": [("920001", 10.01, 1)],
}


@pytest.mark.parametrize(
    ("code", "kind", "close", "volume", "counts"),
    [
        ("sh000001", "index", 3_444_430, 478_000_000, (1648, 580)),
        ("sh600000", "stock", 13_880, 70_123_457, (0, 0)),
        ("sh510050", "fund", 2_834, 5, (0, 0)),
        ("sz000002", "stock", 6_420, 7_737_937_085, (0, 0)),  # more than 32 bits can count
        ("bj920001", "stock", 10_010, 1, (0, 0)),
    ],
)
def test_a_package_becomes_exact_records_of_day_files(
    tmp_path: Path, code: str, kind: str, close: int, volume: int, counts: tuple[int, int]
) -> None:
    files = DayFiles(tmp_path, {})
    files.add(read_package(make(MARKET), DAY))
    files.write()
    path = tmp_path / f"vipdoc/{code[:2]}/lday/{code}.day"
    [bar] = vipdoc.read_bars(path, code, kind, "day", NOW).bars
    assert (bar["close"], bar["volume"], (bar["up"], bar["down"])) == (close, volume, counts)


def test_bars_of_any_other_day_are_repeated_ones(tmp_path: Path) -> None:
    later = MARKET | {"sh": [("000001", 3450.0, 480_000_000), *MARKET["sh"][1:]]}
    files = DayFiles(tmp_path, {})
    for market, day in ((MARKET, DAY), (later, date(2025, 7, 1))):
        files.add(read_package(make(market, day=day), day))
    files.write()
    index = tmp_path / "vipdoc/sh/lday/sh000001.day"
    newest = date(2025, 7, 2)
    for known in (files, DayFiles(tmp_path, {"sh000001": index})):
        for market in (MARKET, later):
            assert known.repeats(read_package(make(market, day=newest), newest))
        other = MARKET | {"sh": [("000001", 3460.0, 1), *MARKET["sh"][1:]]}
        assert not known.repeats(read_package(make(other, day=newest), newest))


def test_bonds_and_codes_without_a_price_have_no_record(tmp_path: Path) -> None:
    package = read_package(make(MARKET), DAY)
    assert set(package.bars) == {"sh000001", "sh600000", "sh510050", "sz000002", "bj920001"}
    assert {"sz123001", "sz000003"} < set(package.names)


def test_an_index_in_shares_becomes_hands() -> None:
    sh = [("000001", 3444.43, 47_800_000_000), ("000300", 3900.0, 1_000_000)]
    bars = read_package(make(MARKET | {"sh": sh}), DAY).bars
    assert [int(bars[c]["volume"]) for c in ("sh000001", "sh000300")] == [478_000_000, 10_000]


def test_the_composite_has_its_name_of_the_vendor_s_clients_too() -> None:
    sh = [("999999", 3444.43, 1), *MARKET["sh"][1:]]
    assert read_package(make(MARKET | {"sh": sh}), DAY).bars["sh000001"]["close"] == 344_443


@pytest.mark.parametrize(
    "content",
    [
        make({"sh": MARKET["sh"], "sz": MARKET["sz"]}),
        make(MARKET, day=date(2025, 6, 27)),
        make(MARKET | {"sh": [MARKET["sh"][0], MARKET["sh"][0]]}),
        make(MARKET, number=0),
        make(MARKET, number=9),
        make(MARKET | {"sh": [("600000", 13.88, 1)]}),
        make(MARKET | {"sz": [("000001", float("inf"), 1)]}),
        make(MARKET | {"sz": [("000001", 1e9, 1)]}),
        make(MARKET | {"sz": [("000001", 9.9, 10**18)]}),
        make(MARKET)[:-40],
        b"<html></html>",
    ],
)
def test_a_package_that_lacks_or_repeats_something_is_refused(content: bytes) -> None:
    with pytest.raises(DataQualityError):
        read_package(content, DAY)


def test_before_2022_05_06_no_package_has_beijing() -> None:
    day = date(2022, 5, 5)
    rows = {exchange: rows for exchange, rows in MARKET.items() if exchange != "bj"}
    assert "sh600000" in read_package(make(rows, day=day), day).bars
