"""Exports: a folder equals its table, and a killed, refused or repeated one costs nothing."""

import contextlib
import csv
import json
import shutil
import sqlite3
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loaders.engine.progress import Silent
from orchestration.exports.definition import Definition
from orchestration.exports.folder import Folder
from orchestration.exports.write import export
from quotemill.errors import LockHeldError, SettingsError, UsageError
from quotemill.warehouse.postgres import Warehouse, WarehouseAway
from tests.conftest import ROOT
from tests.dbt_parse import Dbt
from tests.integration.dbt.copier import NOW, Copier, stored
from tests.integration.dbt.option_days import OPTION_DAYS
from tests.integration.dbt.raw import bar, land
from tests.integration.dbt.two_codes import CODES, DAYS, TWO_CODES

pytestmark = TWO_CODES

BY_MONTH = [f"month={month}/part-0.parquet" for month in ("2023-12", "2024-01")]


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
    copy: Copier, conn: psycopg.Connection, dbt: Dbt
) -> None:
    dbt("run", "-s", "kline_daily", "kline_daily_hfq")
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


def test_codes_are_names_of_files_on_every_system(copy: Copier) -> None:
    rows = "select code, 1 as n from unnest('{{{}}}'::text[]) as code"
    copy(rows.format("con,COM1.x,CONE,a/b,招商"), "named", form="csv")
    names = ["%43OM1.x", "%63on", "CONE", "a%2Fb", "%E6%8B%9B%E5%95%86"]
    assert sorted(copy.files("named")) == sorted(f"query/{name}.csv" for name in names)
    for wrong in ("a" * 400, "招" * 30, "abc,ABC"):
        with pytest.raises(UsageError) as refused:
            copy(rows.format(wrong), "refused", form="csv")
        assert refused.value.exit_code == 2
        assert "--to parquet" in refused.value.hint
        assert copy.files("refused") == {}
        shutil.rmtree(copy.root / "refused", ignore_errors=True)
        assert copy(rows.format(wrong), "refused", form="parquet").files == 1
        shutil.rmtree(copy.root / "refused")


@pytest.mark.parametrize(
    ("what", "options", "message"),
    [
        ("kline_dayly", {}, "no table market.kline_dayly"),
        ("kline_daily_qfq", {"codes": ("600009",)}, "there is no sh600009"),
        ("symbol_dim", {"since": date(2024, 1, 1)}, "no date column"),
        ("select nothing from nowhere", {}, 'relation "nowhere" does not exist'),
        ("select 1 as a, 2 as a", {}, "two columns are named a"),
        ("kline;", {}, "neither a table nor a query"),
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
    with pytest.raises(UsageError, match=r"part-0.parquet is not a file"):
        copy("kline_daily_qfq")
    assert [path for path in copy.root.rglob("*") if path.is_file()] == [other]
    other.unlink()
    copy("kline_daily_qfq")
    (copy.root / "copy" / "notes.txt").write_text("mine")
    before = copy.files()
    with pytest.raises(UsageError, match=r"notes.txt is not a file"):
        copy("kline_daily_qfq")
    with pytest.raises(UsageError, match="another export: what kline_daily_qfq"):
        copy("symbol_dim")
    assert copy.files() == before


def test_only_one_export_writes_a_folder(copy: Copier) -> None:
    with Folder(copy.root / "copy").locked(), pytest.raises(LockHeldError, match="another command"):
        copy("kline_daily_qfq")
    assert copy("kline_daily_qfq").written == 2
    (copy.root / "file").write_text("")
    with pytest.raises(SettingsError, match="cannot be used: "):
        copy("kline_daily_qfq", "file/below")


def test_until_all_new_files_are_whole_the_folder_stays_as_it_is(
    copy: Copier, conn: psycopg.Connection, dbt: Dbt
) -> None:
    class Cut(Silent):
        def advance(self, dataset: str, keys: int) -> None:
            raise KeyboardInterrupt

    def cut() -> None:
        wanted = Definition("kline_daily_qfq", "parquet")
        with pytest.raises(KeyboardInterrupt):
            export(copy.warehouse, wanted, copy.root / "copy", Cut(), NOW)

    cut()
    assert list(copy.files()) == [".manifest.json"]  # whose folder it is
    with pytest.raises(UsageError, match="another export: what kline_daily_qfq"):
        copy("symbol_dim")
    copy("kline_daily_qfq", "fresh")
    assert copy("kline_daily_qfq").written == 2
    assert copy.files() == copy.files("fresh")
    before = copy.manifest()
    land(conn, "kline_daily", [bar(CODES[0], DAYS[0], "12")])
    dbt("run", "-s", "kline_daily_qfq")
    cut()
    assert (copy.files(), copy.manifest()) == (copy.files("fresh"), before)
    assert copy("kline_daily_qfq").written == 1
    copy("kline_daily_qfq", "corrected")
    assert copy.files() == copy.files("corrected") != copy.files("fresh")


def test_a_damaged_file_is_written_again(copy: Copier) -> None:
    copy("kline_daily_qfq")
    whole = copy.files()
    for damage in (lambda path: path.write_bytes(b""), lambda path: path.unlink()):
        damage(copy.root / "copy" / "kline_daily_qfq" / BY_MONTH[0])
        assert copy("kline_daily_qfq").written == 1
        assert copy.files() == whole


def test_a_folder_of_an_older_version_is_continued(copy: Copier) -> None:
    copy("kline_daily_qfq")
    path, whole = copy.root / "copy" / "manifest.json", copy.files()
    old = copy.manifest() | {"quotemill_export": 1, "fingerprint": "0", "facts": {}}
    del old["columns"]
    path.write_text(json.dumps(old))
    (path.parent / "views.duckdb").write_text("a view of the files")
    assert copy("kline_daily_qfq").written == 2
    assert copy.files() == whole | {"views.duckdb": copy.files()["views.duckdb"]}
    path.write_text(json.dumps(old).replace("parquet", "excel"))
    with pytest.raises(UsageError, match="export of this version"):
        copy("kline_daily_qfq")


def test_numbers_are_doubles_where_they_need_not_be_exact(
    copy: Copier, conn: psycopg.Connection
) -> None:
    copy("kline_daily_qfq", is_exact=False)
    folder = copy.root / "copy" / "kline_daily_qfq"
    schema = pq.read_schema(folder / BY_MONTH[0])
    assert {schema.field(name).type for name in ("close", "amount_cny")} == {pa.float64()}
    query = "select * from market.kline_daily_qfq order by trade_date, code"
    assert read(folder) == stored(conn, query)
    assert copy("kline_daily_qfq", is_exact=False).written == 0
    any_places = "select 'a' as code, 10 / 3::numeric as third"
    copy(any_places, "third", is_exact=False)
    assert read(copy.root / "third" / "query") == [("a", 10 / 3)]
    with pytest.raises(UsageError, match="another export: is_exact False"):
        copy("kline_daily_qfq")


def test_duckdb_and_sqlite_take_the_files_as_the_page_says(
    copy: Copier, conn: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy("kline_daily_qfq", "exports/bars")
    monkeypatch.chdir(copy.root)
    page = (ROOT / "docs" / "how-to" / "exports.md").read_text("utf-8")
    exec(page.split("```python\n")[1].split("```")[0], {})
    query = "select code, {}, close from {} order by 1, 2"
    expected = stored(conn, query.format("trade_date", "market.kline_daily_qfq"))
    with duckdb.connect("bars.duckdb", read_only=True) as database:
        rows = database.sql(query.format("trade_date", "kline_daily_qfq")).fetchall()
    assert rows == expected
    with contextlib.closing(sqlite3.connect("bars.sqlite")) as database:
        rows = database.execute(query.format("trade_date", "kline_daily_qfq")).fetchall()
    assert rows == [(code, str(day), float(close)) for code, day, close in expected]


@OPTION_DAYS
def test_option_chains_are_exported_by_day_and_by_symbol(
    warehouse: Warehouse, conn: psycopg.Connection, tmp_path: Path
) -> None:
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
    copy: Copier, conn: psycopg.Connection
) -> None:
    class Building(Silent):
        taken = 0

        def advance(self, dataset: str, keys: int) -> None:
            with conn.transaction():
                conn.execute("lock table market.kline_daily_qfq in access exclusive mode nowait")
                # it reads on as of the moment at which it began
                conn.execute("delete from market.kline_daily_qfq")
            self.taken += 1

    copy("kline_daily_qfq", "fresh")
    building = Building()
    wanted = Definition("kline_daily_qfq", "parquet")
    export(copy.warehouse, wanted, copy.root / "copy", building, NOW)
    assert building.taken >= len(BY_MONTH)
    assert copy.files() == copy.files("fresh")


def test_a_folder_that_goes_away_gets_no_manifest(copy: Copier) -> None:
    class Removing(Silent):
        def __init__(self, what: Path, after: int) -> None:
            self.what, self.after = what, after

        def advance(self, dataset: str, keys: int) -> None:
            self.after -= 1
            if self.after == 0:
                shutil.rmtree(self.what)

    root = copy.root / "copy"
    wanted = Definition("kline_daily_qfq", "csv")
    for what, after in ((root, 1), (root, len(CODES)), (root / "kline_daily_qfq", len(CODES))):
        with pytest.raises(SettingsError, match="cannot be used: No such file"):
            export(copy.warehouse, wanted, root, Removing(what, after), NOW)
        assert not (root / "manifest.json").exists()
        shutil.rmtree(root, ignore_errors=True)


def test_a_warehouse_that_goes_away_is_named_and_the_next_export_finishes(
    copy: Copier, conn: psycopg.Connection
) -> None:
    class Ending(Silent):
        def advance(self, dataset: str, keys: int) -> None:
            conn.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where pid <> pg_backend_pid() and datname = current_database()"
            )

    with pytest.raises(WarehouseAway, match="cannot be reached"):
        export(
            copy.warehouse, Definition("kline_daily_qfq", "csv"), copy.root / "copy", Ending(), NOW
        )
    assert copy("kline_daily_qfq", form="csv").written == len(CODES)
