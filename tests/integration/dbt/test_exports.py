"""Exports: a folder equals its table, and a killed, refused or repeated one costs nothing."""

import contextlib
import csv
import functools
import importlib.util
import shutil
import sqlite3
import zipfile
from datetime import date, time
from decimal import Decimal
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loaders.engine.progress import Silent
from orchestration.exports import write
from orchestration.exports.definition import Definition
from orchestration.exports.folder import Folder
from orchestration.exports.forms import excel
from orchestration.exports.write import export
from quotemill.errors import LockHeldError, SettingsError, UsageError
from quotemill.warehouse.postgres import Warehouse, WarehouseAway
from tests.integration.dbt.conftest import BARS_AGAIN, Dbt
from tests.integration.dbt.copier import NOW, Copier, stored
from tests.integration.dbt.raw import bar, land
from tests.integration.dbt.two_codes import CODES, DAYS
from tests.requirements import require

BY_MONTH = [f"month={month}/part-0.parquet" for month in ("2023-12", "2024-01")]


@pytest.fixture
def copy(built: Dbt, warehouse: Warehouse, tmp_path: Path) -> Copier:
    return Copier(warehouse, tmp_path / "exports")


def read(path: Path) -> list[tuple[Any, ...]]:
    table = pq.ParquetDataset(path, partitioning=None).read()
    return [tuple(row.values()) for row in table.to_pylist()]


def test_an_export_has_the_rows_of_its_table_by_month(
    copy: Copier, conn: psycopg.Connection
) -> None:
    result = copy("kline_daily_qfq")
    assert sorted(copy.files()) == [f"kline_daily_qfq/{name}" for name in BY_MONTH]
    query = "select * from market.kline_daily_qfq order by trade_date, code"
    assert read(copy.root / "copy" / "kline_daily_qfq") == stored(conn, query)
    schema = pq.read_schema(copy.root / "copy" / "kline_daily_qfq" / BY_MONTH[0])
    assert schema.field("close").type == pa.decimal128(18, 3)
    manifest = copy.manifest()
    listed = {n: file for part in manifest["parts"].values() for n, file in part.items()}
    assert {name: file["sha256"] for name, file in listed.items()} == copy.files()
    assert sum(file["rows"] for file in listed.values()) == manifest["rows"] == result.rows == 60
    assert (result.files, result.written, result.unchanged) == (2, 2, 0)


def test_codes_days_and_adjustment_choose_the_rows(
    copy: Copier, conn: psycopg.Connection, built: Dbt
) -> None:
    assert built("run", "-s", "kline_daily", "kline_daily_hfq").success
    options = {"codes": ("600000.SH",), "since": DAYS[15], "adjust": "hfq"}
    assert copy("kline_daily", **options).rows == 15
    assert read(copy.root / "copy" / "kline_daily_hfq") == stored(
        conn,
        "select * from market.kline_daily_hfq where code = 'sh600000' "
        f"and trade_date >= '{DAYS[15]}' order by trade_date",
    )
    query = "select code, close from market.kline_daily where code like 'sh%'"
    assert copy(query, "query").rows == 30
    assert list(copy.files("query")) == ["query/part-0.parquet"]
    assert copy("symbol_dim", "symbols").rows == 2
    dated = "select trade_date, nullif(close, 10) as close from market.kline_daily"
    assert copy(f"{dated} union all select null, 1", "dayless").rows == 61
    assert "query/month=none/part-0.parquet" in copy.files("dayless")


def test_csv_has_a_file_for_each_code(copy: Copier, conn: psycopg.Connection) -> None:
    assert copy("kline_daily_qfq", form="csv").files == len(CODES)
    assert sorted(copy.files()) == [f"kline_daily_qfq/{code}.csv" for code in CODES]
    with (copy.root / "copy" / "kline_daily_qfq" / f"{CODES[0]}.csv").open() as file:
        names, *rows = csv.reader(file)
    columns = ", ".join(f"{name}::text" for name in names)
    expected = stored(
        conn,
        f"select {columns} from market.kline_daily_qfq where code = '{CODES[0]}' "
        "order by trade_date",
    )
    assert [tuple(row) for row in rows] == expected
    texts = "select 'a' as code, 1.50::numeric(9, 2) as price, '' as empty, null as nothing, "
    copy(
        f"{texts} '{{x,y}}'::text[] as flags, timestamptz '2024-06-03 09:31+08' as at",
        "query",
        form="csv",
    )
    assert (copy.root / "query" / "query" / "a.csv").read_text().splitlines() == [
        '"code","price","empty","nothing","flags","at"',
        '"a",1.50,"",,"x,y",2024-06-03 01:31:00.000000Z',
    ]
    assert copy("trading_calendar", "calendar", form="csv").files == 1


@pytest.mark.parametrize(
    ("what", "options", "message"),
    [
        ("kline_dayly", {}, "no table market.kline_dayly"),
        ("kline_daily_qfq", {"codes": ("600009",)}, "there is no sh600009"),
        ("symbol_dim", {"since": date(2024, 1, 1)}, "no column of days"),
        ("select nothing from nowhere", {}, 'relation "nowhere" does not exist'),
        ("select 1 as a, 2 as a", {}, "two columns are named a"),
        ("kline;", {}, "no table and no query"),
        ("symbol_dim", {"adjust": "qfq"}, "no table market.symbol_dim_qfq"),
    ],
)
def test_what_is_not_there_is_refused_and_leaves_no_folder(
    copy: Copier, what: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        copy(what, **options)
    assert not copy.root.exists()


def test_a_folder_with_other_files_stays_as_it_is(copy: Copier) -> None:
    other = copy.root / "copy" / "kline_daily_qfq" / BY_MONTH[1]
    other.parent.mkdir(parents=True)
    other.write_text("mine")
    with pytest.raises(UsageError, match=r"part-0.parquet is no file of this export"):
        copy("kline_daily_qfq")
    assert [path for path in copy.root.rglob("*") if path.is_file()] == [other]
    other.unlink()
    copy("kline_daily_qfq")
    (copy.root / "copy" / "notes.txt").write_text("mine")
    before = copy.files()
    with pytest.raises(UsageError, match=r"notes.txt is no file"):
        copy("kline_daily_qfq")
    with pytest.raises(UsageError, match="is another export: what kline_daily_qfq"):
        copy("symbol_dim")
    assert copy.files() == before


def test_only_one_export_writes_a_folder(copy: Copier) -> None:
    with Folder(copy.root / "copy").locked(), pytest.raises(LockHeldError, match="another command"):
        copy("kline_daily_qfq")
    assert copy("kline_daily_qfq").written == 2
    (copy.root / "file").write_text("")
    with pytest.raises(SettingsError, match="cannot be used: "):
        copy("kline_daily_qfq", "file/below")


def test_an_export_that_was_cut_short_is_taken_up(
    copy: Copier, conn: psycopg.Connection, built: Dbt, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy("kline_daily_qfq", "fresh")

    class Cut(Silent):
        def advance(self, dataset: str, keys: int) -> None:
            raise KeyboardInterrupt

    def cut() -> None:
        wanted = Definition("kline_daily_qfq", "parquet")
        with pytest.raises(KeyboardInterrupt):
            export(copy.warehouse, wanted, copy.root / "copy", Cut(), NOW)

    monkeypatch.setattr(write, "_TOGETHER", 1)
    cut()
    assert sorted(copy.files()) == [".export.jsonl", f"kline_daily_qfq/{BY_MONTH[0]}"]
    result = copy("kline_daily_qfq")
    assert (result.written, result.unchanged) == (1, 1)
    assert copy.files() == copy.files("fresh")
    # a file that was damaged meanwhile, or whose rows changed, is written again
    cut()
    (copy.root / "copy" / "kline_daily_qfq" / BY_MONTH[0]).write_bytes(b"")
    assert copy("kline_daily_qfq").written == 2
    assert copy.files() == copy.files("fresh")
    cut()
    land(conn, "kline_daily", [bar(CODES[0], DAYS[0], "12")])
    assert built(*BARS_AGAIN).success
    assert copy("kline_daily_qfq").written == 2
    copy("kline_daily_qfq", "corrected")
    assert copy.files() == copy.files("corrected") != copy.files("fresh")


def test_numbers_are_doubles_where_they_need_not_be_exact(
    copy: Copier, conn: psycopg.Connection
) -> None:
    copy("kline_daily_qfq", name="bars", is_exact=False)
    folder = copy.root / "copy" / "kline_daily_qfq"
    schema = pq.read_schema(folder / BY_MONTH[0])
    assert {schema.field(name).type for name in ("close", "amount_cny")} == {pa.float64()}
    query = "select * from market.kline_daily_qfq order by trade_date, code"
    assert read(folder) == stored(conn, query)
    assert copy.again("bars").written == 0
    any_places = "select 'a' as code, 10 / 3::numeric as third"
    copy(any_places, "third", is_exact=False)
    assert read(copy.root / "third" / "query") == [("a", 10 / 3)]
    with pytest.raises(UsageError, match="is another export: is_exact False"):
        copy("kline_daily_qfq")
    with pytest.raises(UsageError, match="the export bars is of kline_daily_qfq"):
        copy("kline_daily_qfq", "other", name="bars")


def test_duckdb_reads_the_files_by_their_views(copy: Copier, conn: psycopg.Connection) -> None:
    require("exports", importlib.util.find_spec("duckdb") is not None, "duckdb is not installed")
    import duckdb

    copy("kline_daily_qfq", name="bars")
    query = "select code, trade_date, close from {} order by 2, 1"
    expected = stored(conn, query.format("market.kline_daily_qfq"))
    with duckdb.connect(str(copy.root / "copy" / "views.duckdb"), read_only=True) as views:
        assert views.sql(query.format("kline_daily_qfq")).fetchall() == expected
    # whose log somebody's writing has left there
    (copy.root / "copy" / "views.duckdb.wal").touch()
    assert copy.again("bars").written == 0


EVERY = (
    "select 'a' as text, 12345678901234567 as large, true as yes, 'nan'::float8 as odd, "
    "'{x,y}'::text[] as flags, timestamptz '2024-06-03 09:30+08' as at, null::date as nothing, "
    "time '12:00' as noon, 1.10::numeric(9, 2) as price, date '2024-06-03' as day"
)


def test_a_file_of_duckdb_has_the_rows_inside_and_may_be_moved(
    copy: Copier, conn: psycopg.Connection, tmp_path: Path
) -> None:
    require("exports", importlib.util.find_spec("duckdb") is not None, "duckdb is not installed")
    import duckdb

    folder = copy.root / "copy"
    assert copy("kline_daily_qfq", form="duckdb", name="bars").rows == 60
    query = "select * from {} order by code, trade_date"
    expected = stored(conn, query.format("market.kline_daily_qfq"))
    moved = shutil.copy(folder / "kline_daily_qfq.duckdb", tmp_path)
    with duckdb.connect(str(moved)) as database:
        assert database.sql(query.format("kline_daily_qfq")).fetchall() == expected
        database.execute("delete from kline_daily_qfq")
    # what a writer left that was killed, and what somebody's reading left
    for name in (".kline_daily_qfq.duckdb.new.wal", "kline_daily_qfq.duckdb.wal"):
        shutil.copy(moved, folder / name)
    (folder / "kline_daily_qfq.duckdb").unlink()
    assert copy.again("bars").rows == 60
    assert {path.name for path in folder.iterdir()} == {"kline_daily_qfq.duckdb", "manifest.json"}
    copy(EVERY, "every", form="duckdb")
    with duckdb.connect(str(copy.root / "every" / "query.duckdb"), read_only=True) as database:
        [row] = database.sql("select price, day, flags, noon from query").fetchall()
    assert row == (Decimal("1.10"), date(2024, 6, 3), ["x", "y"], time(12))


def test_a_file_of_sqlite_has_numbers_and_texts(copy: Copier, conn: psycopg.Connection) -> None:
    assert copy("kline_daily_qfq", form="sqlite").rows == 60
    query = "select code, {}, close from {} order by 1, 2"
    expected = stored(conn, query.format("trade_date::text", "market.kline_daily_qfq"))
    with contextlib.closing(sqlite3.connect(copy.root / "copy/kline_daily_qfq.sqlite")) as database:
        rows = database.execute(query.format("trade_date", "kline_daily_qfq")).fetchall()
    assert rows == [(code, day, float(close)) for code, day, close in expected]
    copy(EVERY, "every", form="sqlite")
    with contextlib.closing(sqlite3.connect(copy.root / "every" / "query.sqlite")) as database:
        [row] = database.execute("select * from query").fetchall()
    moment = "2024-06-03 01:30:00"
    day = "2024-06-03"
    assert row == (
        "a",
        12345678901234567,
        1,
        None,
        "x,y",
        moment,
        None,
        "12:00:00",
        1.1,
        day,
    )


def test_excel_has_one_sheet_with_numbers_and_days(
    copy: Copier, conn: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    present = importlib.util.find_spec("xlsxwriter") is not None
    require("exports", present, "xlsxwriter is not installed")
    result = copy("kline_daily_qfq", form="excel")
    assert (result.rows, list(copy.files())) == (60, ["kline_daily_qfq.xlsx"])
    names, *rows = read_sheet(copy.root / "copy" / "kline_daily_qfq.xlsx")
    expected = stored(
        conn, "select code, trade_date, close from market.kline_daily_qfq order by 2, 1"
    )
    places = [names.index(name) for name in ("code", "trade_date", "close")]
    epoch = date(1899, 12, 30)
    assert [tuple(row[place] for place in places) for row in rows] == [
        (code, float((day - epoch).days), float(close)) for code, day, close in expected
    ]
    # another minute, the same bytes
    copy("kline_daily_qfq", "again", form="excel")
    assert copy.files() == copy.files("again")
    monkeypatch.setattr(excel, "MOST", 59)
    with pytest.raises(UsageError, match="has more rows than the 59 of a sheet") as error:
        copy("kline_daily_qfq", "larger", form="excel")
    assert error.value.hint == "narrow it by --codes or --since"
    every = (
        "select 'a' as text, 12345678901234567 as large, true as yes, 'nan'::float8 as odd, "
        "'{x,y}'::text[] as flags, timestamptz '2024-06-03 09:30+08' as at, null as nothing, "
        "time '12:00' as noon"
    )
    copy(every, "every", form="excel")
    [_, row] = read_sheet(copy.root / "every" / "query.xlsx")
    assert row == ["a", "12345678901234567", True, "nan", "x,y", 45446.0625, None, 0.5]


def read_sheet(path: Path) -> list[list[Any]]:
    """The cells of the first sheet, by the format alone: days are numbers."""
    space = {"x": "http://schemas.openxmlformats.org/spreadsheetml/2006/main"}
    with zipfile.ZipFile(path) as book:
        sheet = ElementTree.fromstring(book.read("xl/worksheets/sheet1.xml"))
    rows = []
    for row in sheet.iterfind(".//x:row", space):
        cells: dict[int, Any] = {}
        for cell in row.iterfind("x:c", space):
            letters = cell.attrib["r"].rstrip("0123456789")
            place = functools.reduce(lambda n, c: n * 26 + ord(c) - 64, letters, 0) - 1
            value = "".join(cell.itertext())
            kind = cell.attrib.get("t", "n")
            cells[place] = {"n": float, "b": lambda v: v == "1"}.get(kind, str)(value)
        rows.append([cells.get(place) for place in range(max(cells) + 1)])
    return rows


def test_option_chains_are_exported_by_day_and_by_symbol(
    option_days: str, warehouse: Warehouse, conn: psycopg.Connection, tmp_path: Path
) -> None:
    assert option_days
    copy = Copier(warehouse, tmp_path)
    table = "options.chain_intraday"
    [(rows,)] = stored(conn, f"select count(*) from {table}")
    assert copy(table).rows == rows > 0
    schema = pq.read_schema(next((tmp_path / "copy").rglob("*.parquet")))
    assert schema.field("data_quality_flag").type == pa.list_(pa.string())
    assert len(read(tmp_path / "copy" / "chain_intraday")) == rows
    [(own,)] = stored(conn, f"select count(*) from {table} where symbol = 'AAPL'")
    assert copy(table, "apple", form="csv", codes=("AAPL",)).rows == own
    assert list(copy.files("apple")) == ["chain_intraday/AAPL.csv"]


def test_between_two_files_an_export_holds_nothing_that_a_build_needs(
    copy: Copier, conn: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Building(Silent):
        taken = 0

        def advance(self, dataset: str, keys: int) -> None:
            with conn.transaction():
                conn.execute("lock table market.kline_daily_qfq in access exclusive mode nowait")
                # it reads on as of the moment at which it began
                conn.execute("delete from market.kline_daily_qfq")
            self.taken += 1

    monkeypatch.setattr(write, "_TOGETHER", 1)
    copy("kline_daily_qfq", "fresh")
    building = Building()
    wanted = Definition("kline_daily_qfq", "parquet")
    export(copy.warehouse, wanted, copy.root / "copy", building, NOW)
    assert building.taken >= len(BY_MONTH)
    assert copy.files() == copy.files("fresh")


def test_a_folder_that_goes_away_gets_no_manifest(
    copy: Copier, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Removing(Silent):
        def __init__(self, what: Path, after: int) -> None:
            self.what, self.after = what, after

        def advance(self, dataset: str, keys: int) -> None:
            self.after -= 1
            if self.after == 0:
                shutil.rmtree(self.what)

    monkeypatch.setattr(write, "_TOGETHER", 1)
    root = copy.root / "copy"
    wanted = Definition("kline_daily_qfq", "csv")
    for what, after in ((root, 1), (root, len(CODES)), (root / "kline_daily_qfq", len(CODES))):
        with pytest.raises(SettingsError, match="cannot be used: No such file"):
            export(copy.warehouse, wanted, root, Removing(what, after), NOW)
        assert not (root / "manifest.json").exists()
        shutil.rmtree(root, ignore_errors=True)


def test_a_warehouse_that_goes_away_is_named_and_the_next_export_finishes(
    copy: Copier, conn: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Ending(Silent):
        def advance(self, dataset: str, keys: int) -> None:
            conn.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where pid <> pg_backend_pid() and datname = current_database()"
            )

    monkeypatch.setattr(write, "_TOGETHER", 1)
    with pytest.raises(WarehouseAway, match="cannot be reached"):
        export(
            copy.warehouse, Definition("kline_daily_qfq", "csv"), copy.root / "copy", Ending(), NOW
        )
    result = copy("kline_daily_qfq", form="csv")
    assert (result.written, result.unchanged) == (1, 1)
