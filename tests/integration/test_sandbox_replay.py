"""The simulated service over real files: what the files say is what the service sends."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from loaders.errors import UsageError
from loaders.sandbox.tdx.replay import ReplayMarket, li
from loaders.sandbox.tdx.service import TdxSandbox


@pytest.fixture(scope="module")
def folder(real_tdx_data: Path) -> Path:
    return real_tdx_data


@pytest.fixture(scope="module")
def sandbox(folder: Path) -> Iterator[TdxSandbox]:
    with TdxSandbox(ReplayMarket(folder)) as running:
        yield running


def data(sandbox: TdxSandbox, path: str) -> Any:
    return httpx.get(f"{sandbox.url}/api/{path}").json()["data"]


def file_rows(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


@pytest.mark.parametrize(
    ("name", "route"),
    [("SH600000", "kline-all"), ("SZ000002", "kline-all/tdx"), ("SH000001", "index/all")],
)
def test_every_daily_row_is_a_bar(sandbox: TdxSandbox, folder: Path, name: str, route: str) -> None:
    expected = [
        (
            row["date"] + "T15:00:00",
            *(round(float(row[c]) * 1000) for c in ("open", "high", "low", "close")),
            int(row["volume_hands"]),
            int(row["amount_yuan"]) * 1000,
        )
        for row in file_rows(folder / f"daily_{name}.csv")
    ]
    names = ("Open", "High", "Low", "Close", "Volume", "Amount")
    found = [
        (row["Time"][:19], *(row[n] for n in names))
        for row in data(sandbox, f"{route}?code={name.lower()}")["list"]
    ]
    assert found == expected


def test_the_calendar_is_the_union_of_the_daily_files(sandbox: TdxSandbox, folder: Path) -> None:
    days = {row["date"] for file in folder.glob("daily_*.csv") for row in file_rows(file)}
    found = data(sandbox, "workday/range?start=19900101&end=20301231")["list"]
    assert [day["iso"] for day in found] == sorted(days)
    assert sandbox.clock.isoformat() == "2011-12-06T18:00:00"


def test_the_lists_hold_the_stocks_and_not_the_index(sandbox: TdxSandbox) -> None:
    assert data(sandbox, "stock-codes")["list"] == ["sh600000", "sz000002"]
    assert data(sandbox, "codes?exchange=sh")["codes"][0]["name"] == "浦发银行"


@pytest.mark.parametrize("name", ["SH600000", "SZ000002"])
def test_the_adjusted_series_agrees_with_the_expected_prices(
    sandbox: TdxSandbox, folder: Path, name: str
) -> None:
    """The service cuts to thousandths where the file rounds to cents."""
    expected = file_rows(folder / f"expected_qfq_{name}.csv")
    found = data(sandbox, f"kline-all/ths?code={name.lower()}")["list"]
    assert len(found) == len(expected)
    for bar, row in zip(found, expected, strict=True):
        assert bar["Time"].startswith(row["date"])
        for key in ("open", "high", "low", "close"):
            assert abs(bar[key.capitalize()] - li(row[f"qfq_{key}"])) <= 6


def test_minutes_are_served_for_their_own_dates(sandbox: TdxSandbox, folder: Path) -> None:
    rows = [r for r in file_rows(folder / "minute_line_SH600000.csv") if "2018-12-03" in str(r)]
    found = data(sandbox, "minute?code=sh600000&date=20181203")["List"]
    assert [p["Price"] for p in found] == [li(row["price_yuan"]) for row in rows]
    assert [p["Number"] for p in found] == [int(row["volume_hands"]) for row in rows]
    assert (found[0]["Time"], found[119]["Time"], found[120]["Time"]) == ("09:31", "11:30", "13:01")


def test_ticks_are_served_for_their_own_dates(sandbox: TdxSandbox, folder: Path) -> None:
    rows = [r for r in file_rows(folder / "ticks_SZ000002.csv") if r["date"] == "2019-02-11"]
    found = data(sandbox, "minute-trade-all?code=sz000002&date=20190211")["List"]
    assert [(t["Price"], t["Volume"], t["Status"]) for t in found] == [
        (li(row["price_yuan"]), int(row["volume_hands"]), int(row["side"])) for row in rows
    ]


def test_recorded_index_minutes_keep_their_noon_label(sandbox: TdxSandbox) -> None:
    found = data(sandbox, "index/all?code=sh000001&type=minute1")["list"]
    assert len(found) == 24_000
    assert sum("T13:00" in row["Time"] for row in found) > 90
    assert {row["Volume"] % 100 for row in found} == {0}


def test_vipdoc_days_come_after_the_csv_once_the_clock_is_there(folder: Path) -> None:
    with TdxSandbox(ReplayMarket(folder), clock="2025-08-05") as sandbox:
        found = data(sandbox, "kline-all?code=sh600000")["list"]
        assert found[-1]["Time"].startswith("2025-08-05")
        assert (found[-1]["Close"], found[-1]["Volume"]) == (13750, 1336465)
        days = data(sandbox, "workday/range?start=20111201&end=20301231")["list"]
        assert days[-1]["iso"] == "2011-12-06"


def test_a_folder_without_daily_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no daily_"):
        ReplayMarket(tmp_path)


def test_a_broken_daily_file_is_named_with_its_row(tmp_path: Path) -> None:
    head = "date,open,high,low,close,volume_hands,amount_yuan\n"
    good, bad = "2020-01-02,1.00,1.00,1.00,1.00,5,500\n", "2020-01-03,x,1,1,1,5,500\n"
    (tmp_path / "daily_SH600000.csv").write_text(head + good + bad)
    with pytest.raises(UsageError, match=r"daily_SH600000\.csv, row 2"):
        ReplayMarket(tmp_path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("16.31", 16310), ("96.050", 96050), ("1", 1000), ("-0.5", -500), ("494000", 494_000_000)],
)
def test_prices_are_read_exactly(text: str, expected: int) -> None:
    assert li(text) == expected
