"""A few built days of two underlyings to archive, and the rows in an archive's folder."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.dataset as ds
import pytest

from loaders.engine.progress import Silent
from loaders.settings import Settings, load_settings
from orchestration.archive import restore as restoring
from orchestration.archive.restore import RestoreResult, restore
from orchestration.archive.retention import RetentionResult, retain
from orchestration.archive.write import ArchiveResult, Request, archive
from quotemill.warehouse.postgres import Warehouse
from tests.dbt_parse import Dbt, Parsed
from tests.integration.dbt.raw import land
from tests.integration.dbt.raw_options import (
    Option,
    Session,
)

TUESDAY, WEDNESDAY = Session(date(2026, 11, 24)), Session(date(2026, 11, 25))
# the day after Thanksgiving is an early close
FRIDAY, MONDAY = Session(date(2026, 11, 27), close=13), Session(date(2026, 11, 30))
AAPL = Option.chain("AAPL", 100, [date(2026, 12, 18)], [95, 100, 105])
BRK_B = Option.chain("BRK B", 200, [AAPL[0].expiry], [400])
DECEMBER = AAPL[0].expiry
TABLES = (
    "run",
    "-s",
    "forwards",
    "chain_daily_clean",
    "int_option_days__counted",
    "int_option_smiles__interpolated",
)
AFTER = datetime(2026, 11, 30, 15, tzinfo=UTC)  # Monday's session has begun
# Tuesday is 61 days ago in New York, Wednesday 60
LATER = datetime(2027, 1, 24, 15, tzinfo=UTC)
VIEWS = ("chain_intraday", "chain_daily_clean", "open_interest")
# what a built day of a warehouse is, beside the landed rows
BUILT = (
    "options.chain_daily_clean",
    "options.forwards",
    "quotemill_intermediate.int_option_days__counted",
    "quotemill_intermediate.int_option_smiles__interpolated",
)
LANDED = ("raw_ib.chain_snapshot", "raw_ib.open_interest")
# the file of Tuesday of the other in a view's folder
OTHER_FILE = "date=2026-11-24/underlying=BRK%20B/exchange=SMART/part-0.parquet"
# the archive of their month once it is compacted
PARTS = [f"view={view}/month=2026-11/part-0.parquet" for view in sorted(VIEWS)]


def build_days(conn: psycopg.Connection, dbt: Dbt) -> None:
    """Tuesday of both, Wednesday of one; Monday has started."""
    sessions = (TUESDAY, WEDNESDAY, FRIDAY, MONDAY)
    land(conn, "raw_ib.session", [session.row for session in sessions])
    for session, options, spot in (
        (TUESDAY, AAPL, 100),
        (TUESDAY, BRK_B, 400),
        (WEDNESDAY, AAPL, 101),
    ):
        # the stock trades on until the close view is captured
        session.land(conn, options, spot, und_price=1.02 * spot)
        interest = [option.open_interest(session.day, 9) for option in options]
        land(conn, "raw_ib.open_interest", interest)
    dbt(*TABLES)


OPTION_DAYS = pytest.mark.warehouse.with_args(Parsed.build_models, build_days)


def settings_in(home: Path, **ib: object) -> Settings:
    own = {f"QUOTEMILL_IB__{name.upper()}": str(value) for name, value in ib.items()}
    return load_settings({"QUOTEMILL_HOME": str(home), **own}, cwd=home)


def archived(
    settings: Settings, warehouse: Warehouse, as_of: datetime = AFTER, **request: Any
) -> ArchiveResult:
    request = {"compact": False} | request
    return archive(settings, warehouse, Request(**request), Silent(), as_of)


def read(folder: Path, view: str) -> pa.Table:
    """The rows of a view in the folder, by the columns that all files have."""
    return ds.dataset(folder / f"view={view}", format="parquet").to_table()


def tables(conn: psycopg.Connection, names: tuple[str, ...]) -> list[list[str]]:
    return [
        [row for (row,) in conn.execute(f"select t::text from {name} as t order by 1".encode())]
        for name in names
    ]


def files(folder: Path) -> list[str]:
    names = (str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
    return sorted(name for name in names if name != ".owner.json")


def rows(folder: Path) -> dict[str, list[str]]:
    """The rows of the whole folder by view, by the columns that all files have."""
    compared = {}
    for view in filter(lambda view: (folder / f"view={view}").is_dir(), VIEWS):
        table = read(folder, view)
        names = sorted(set(table.column_names) - {"date", "underlying", "exchange"})
        compared[view] = sorted(map(str, table.select(names).to_pylist()))
    return compared


def retained(
    settings: Settings, warehouse: Warehouse, as_of: datetime = LATER, **given: Any
) -> RetentionResult:
    return retain(settings, warehouse, Silent(), as_of, **{"dry_run": False} | given)


def restored(
    settings: Settings, warehouse: Warehouse, as_of: datetime = LATER, **changes: Any
) -> RestoreResult:
    request = {"view": "chain_intraday", "since": TUESDAY.day, "until": WEDNESDAY.day} | changes
    return restore(settings, warehouse, restoring.Request(**request), Silent(), as_of)
