"""What of a desktop client's folder is no stock, fund or index, or is not traded."""

import struct
from datetime import date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from loaders.tdx.check import check
from loaders.trading_time import SHANGHAI
from tests.conftest import shared_folder
from tests.integration.tdx_load.bench import Bench, Heard, settings_for

DAYS = (20250721, 20250722, 20250723)
LOADED = "select code, count(*) from raw_tdx.kline_daily group by 1 order by 1"
LISTED = "select code, instrument_type, price_decimals from raw_tdx.security order by 1"


def open_folder(client: Path, dsn: str, home: Path, clock: datetime) -> Bench:
    still: Any = SimpleNamespace(clock=clock)
    tdx = {"client": str(client), "base_url": None, "corporate_actions": None}
    return Bench(still, settings_for("", dsn, home, **tdx), Heard())


def write_days(client: Path, code: str, price: int, volume: int) -> None:
    """A file of day bars with one price, in the file's own unit."""
    file = client / "vipdoc" / code[:2] / "lday" / f"{code}.day"
    file.parent.mkdir(parents=True, exist_ok=True)
    turnover = float(volume * price / (1000 if code[2] == "5" else 100))
    file.write_bytes(
        b"".join(struct.pack("<5IfII", day, *[price] * 4, turnover, volume, 0) for day in DAYS)
    )


def write_list(client: Path, names: dict[str, str]) -> None:
    """Shanghai's list of today's client."""
    content = bytes(50)
    for digits, name in names.items():
        record = bytearray(360)
        record[:6], text = digits.encode(), name.encode("gbk")
        record[31 : 31 + len(text)] = text
        content += bytes(record)
    file = client / "T0002" / "hq_cache" / "shs.tnf"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)


@pytest.fixture
def client(tmp_path: Path) -> Path:
    """A folder with the index, a stock, an ETF of bonds of 2025, and what is no such code."""
    folder = tmp_path / "client"
    write_days(folder, "sh000001", 350_000, 4_000_000)
    write_days(folder, "sh600000", 1_050, 80_000)
    write_days(folder, "sh551030", 100_120, 5_000)
    write_days(folder, "sh521099", 112_340, 0)
    write_days(folder, "sh512881", 1_234, 0)
    write_days(folder, "sh590007", 1_111, 100)
    names = {"600000": "浦发银行", "512881": "证券申赎", "590007": "新品甲", "591008": "新品乙"}
    write_list(folder, names | {"110099": "某转债"})
    return folder


CLOCK = datetime(2025, 7, 23, 18)


def test_what_a_range_knows_and_what_trades_is_loaded(
    client: Path, warehouse_dsn: str, tmp_path: Path
) -> None:
    bench = open_folder(client, warehouse_dsn, tmp_path, CLOCK)

    assert bench.load().exit_code == 0, bench.heard.lines

    assert bench.rows(LOADED) == [("sh551030", 3), ("sh600000", 3)]
    assert bench.rows(LISTED) == [
        ("sh000001", "index", 2),
        ("sh551030", "fund", 3),
        ("sh600000", "stock", 2),
    ]
    close = "select distinct close from raw_tdx.kline_daily where code = 'sh551030'"
    assert bench.rows(close) == [(100_120,)]
    said = "\n".join(bench.heard.lines)
    assert "1 of the instruments of shs.tnf is not modelled: 1 convertible bond (" in said
    assert "1 of the instruments of file names is not modelled: 1 open-ended fund (" in said
    assert (
        "2 instruments of shs.tnf are in no known code range, such as sh590007 新品甲 and"
        " sh591008 新品乙: skipped (if they trade, add a line to seeds/instrument_ranges.csv)"
    ) in said
    untraded = (
        "codes: 1 code without a traded share in the whole day-bar file, such as"
        " sh512881 证券申赎: not loaded"
    )
    assert untraded in said
    noted = "select level, detail from ops.ingestion_logs where event = %s"
    assert bench.rows(noted, untraded) == [("info", {"codes": ["sh512881"]})]


def test_a_code_that_trades_at_last_is_loaded(
    client: Path, warehouse_dsn: str, tmp_path: Path
) -> None:
    write_days(client, "sh600099", 900, 0)
    bench = open_folder(client, warehouse_dsn, tmp_path, CLOCK)
    assert bench.load().exit_code == 0
    assert ("sh600099", 3) not in bench.rows(LOADED)

    untraded = "select row_key from raw_tdx.rejected_row where is_withdrawn is not true order by 1"
    assert bench.rows(untraded) == [("sh512881",), ("sh600099",)]
    again = bench.load()
    assert (again.exit_code, again.total("rows_rejected")) == (0, 0)  # said once

    write_days(client, "sh600099", 900, 300)

    assert bench.load().exit_code == 0
    assert ("sh600099", 3) in bench.rows(LOADED)
    assert bench.rows(untraded) == [("sh512881",)]


WHY_NOT = {
    "sh110099": "one of the convertible bonds, which are not modelled",
    "sh521099": "one of the open-ended funds, which are not modelled",
    "sh590007": "in no known range of codes (docs/datasets/codes.md)",
    "sh512881": "its day-bar file has no traded share",
    "sh000016": "an index: run `loaders run tdx --dataset index_kline`",
    "sh000905": "not in the client's folder",
    "sz000002": "not in the client's folder",
}


def test_a_named_code_that_cannot_be_loaded_is_a_mistake_of_the_request(
    client: Path, warehouse_dsn: str, tmp_path: Path
) -> None:
    write_days(client, "sh000016", 250_000, 1_000_000)
    bench = open_folder(client, warehouse_dsn, tmp_path, CLOCK)
    errors = {}
    for code, reason in WHY_NOT.items():
        refused = bench.load(codes=[code])
        assert refused.exit_code == 2
        assert str(refused.error).startswith(f"{code}: {reason}")
        assert "service" not in str(refused.error)
        assert "`loaders run tdx` without --codes" in refused.hint
        errors[code] = refused.error

    del errors["sz000002"]  # it would share one warning with sh000905
    result = bench.load(codes=[*errors, "sh600000"])

    assert (result.exit_code, result.hint) == (0, "")
    assert set(errors.values()) <= set(result.warnings)
    assert bench.rows(LOADED) == [("sh600000", 3)]
    # nothing is left to retry
    assert bench.rows("select key from ops.failed_keys") == []
    assert bench.rows("select distinct status from ops.ingestion_jobs") == [("succeeded",)]


def test_open_ended_funds_and_creation_codes_of_a_real_folder_are_not_loaded(
    warehouse_dsn: str, tmp_path: Path
) -> None:
    case = shared_folder("cases/tdx/03-open-ended-funds-sh519")
    bench = open_folder(case, warehouse_dsn, tmp_path, datetime(2014, 8, 22, 18))

    assert bench.load().exit_code == 0, bench.heard.lines

    assert bench.rows(LOADED) == []
    assert bench.rows(LISTED) == [("sh000001", "index", 2)]
    said = "\n".join(bench.heard.lines)
    assert "2 codes without a traded share in the whole day-bar file" in said
    assert "such as sh510051 and sh511885: not loaded" in said


def test_bonds_of_a_real_folder_are_named_as_not_modelled(
    warehouse_dsn: str, tmp_path: Path
) -> None:
    case = shared_folder("cases/tdx/25-convertible-bonds")
    clock = datetime(2014, 8, 22, 18)
    bench = open_folder(case, warehouse_dsn, tmp_path, clock)
    bonds = {"sh113001": "convertible bonds", "sz128001": "convertible bonds"}
    for code, kind in (bonds | {"sh204001": "repurchases"}).items():
        result = bench.load(codes=[code])
        why = f"{code}: one of the {kind}, which are not modelled (docs/datasets/codes.md)"
        assert (result.exit_code, result.error) == (2, why)
    assert bench.rows(LOADED) == []

    assert (
        "3 of these codes are not modelled: 2 convertible bonds, 1 repurchase"
        " (docs/datasets/codes.md)"
    ) in check(bench.settings, clock.replace(tzinfo=SHANGHAI)).sentence


INDICES = """
    select code, count(*), count(*) filter (where is_final), min(trade_date), max(close)
    from raw_tdx.index_kline group by 1 order by 1
"""


def test_indices_of_the_vendor_and_its_name_of_shanghais_are_loaded(
    warehouse_dsn: str, tmp_path: Path
) -> None:
    case = shared_folder("cases/tdx/24-vendor-indices")
    bench = open_folder(case, warehouse_dsn, tmp_path, datetime(2017, 4, 18, 18))

    assert bench.load().exit_code == 0, bench.heard.lines

    first = date(2011, 10, 10)
    assert bench.rows(INDICES) == [
        ("sh000001", 1343, 1343, first, 5_166_350),
        ("sh880301", 1343, 1343, first, 893_840),
    ]
    days = "select count(*) from raw_tdx.trading_day where source = 'client'"
    assert bench.rows(days) == [(1343,)]
    assert bench.rows(LISTED) == [("sh000001", "index", 2), ("sh880301", "index", 2)]

    result = bench.load(codes=["880301"])

    assert result.exit_code == 2
    named = "sh880301: an index: run `loaders run tdx --dataset index_kline`"
    assert str(result.error).startswith(named)


def test_an_index_with_a_file_of_each_name_is_loaded_once(
    client: Path, warehouse_dsn: str, tmp_path: Path
) -> None:
    write_days(client, "sh999999", 360_000, 4_000_000)
    bench = open_folder(client, warehouse_dsn, tmp_path, CLOCK)
    assert bench.load().exit_code == 0
    assert [row[:2] for row in bench.rows(INDICES)] == [("sh000001", 3)]
