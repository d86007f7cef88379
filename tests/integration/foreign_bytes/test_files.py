"""Of arbitrary files every reader makes a result or an error of ours.

Those of the TDX client (.day, .lc1, .lc5, .5, tnf, gbbq, sectors, zips), CSV files, settings.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loaders.cli.load import _keys
from loaders.ib.contracts.universe import read_members
from loaders.sandbox.tdx.client_files import write_client_files, write_sectors
from loaders.sandbox.world.market import SyntheticMarket
from loaders.settings import Settings
from loaders.tdx.files import gbbq, sectors, tnf, vipdoc
from loaders.tdx.files.actions_csv import REQUIRED, read_actions
from quotemill.instrument_ranges import FIELDS, read_ranges
from quotemill.settings.merge import read_layers
from tests.integration.foreign_bytes.arbitrary import damaged, fails_as_ours

NOW = datetime(2025, 7, 1, 9, tzinfo=UTC)


FILES: dict[str, Callable[[Path], object]] = {
    "sh600000.day": lambda f: vipdoc.read_bars(f, "sh600000", "stock", "day", NOW),
    "sh600001.day": lambda f: (vipdoc.first_day(f), vipdoc.last_day(f, NOW), vipdoc.list_days(f)),
    "sh600000.lc1": lambda f: vipdoc.read_bars(f, "sh600000", "stock", "minute1", NOW),
    "sh600001.lc1": lambda f: (vipdoc.first_day(f), vipdoc.last_day(f, NOW)),
    "sh600000.lc5": lambda f: vipdoc.read_bars(f, "sh600000", "stock", "minute5", NOW),
    "sh600000.5": lambda f: vipdoc.read_bars(f, "sh600000", "stock", "minute5", NOW),
    "shs.tnf": lambda f: tnf.read_names(f, "sh"),
    "shm.tnf": lambda f: tnf.read_names(f, "sh"),
    "gbbq": gbbq.read_events,
    "infoharbor_block.dat": lambda f: sectors.read_sectors(f, "infoharbor_block.dat"),
    "spblock.dat": lambda f: sectors.read_sectors(f, "spblock.dat"),
    "tdxhy.cfg": lambda f: sectors.read_sectors(f, "tdxhy.cfg"),
    "actions.csv": lambda f: tables_of(read_actions(f, ["sh600000"])),
    "universe.csv": read_members,
    "ranges.csv": read_ranges,
    "codes.txt": lambda f: _keys(None, f, None),
    "quotemill.toml": lambda f: read_layers(Settings, {}, f.parent).merge(),
    ".env": lambda f: read_layers(Settings, {}, f.parent).merge(),
}


def tables_of(actions: Any) -> None:
    """The rows as a load lands them."""
    from loaders.tdx.tables import CORPORATE_ACTION

    for name in ("cash_per10_yuan", "split_ratio"):
        values = [getattr(row, name) for row in actions.rows]
        pa.array(values, CORPORATE_ACTION.schema.field(name).type)


@pytest.fixture(scope="module")
def good_files(
    market: SyntheticMarket, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("client")
    write_client_files(market, folder)
    write_sectors(market, folder)
    record = bytes.fromhex("f5e03401") + bytes(range(28))
    minute = bytes.fromhex("32a8 3b02".replace(" ", "")) + bytes(28)
    return {
        **dict.fromkeys(("sh600000.day", "sh600001.day"), record * 4),
        **dict.fromkeys(("sh600000.lc1", "sh600001.lc1", "sh600000.lc5", "sh600000.5"), minute * 4),
        **{path.name: path.read_bytes()[:4000] for path in folder.rglob("*") if path.is_file()},
        "gbbq": next(folder.rglob("gbbq")).read_bytes(),
        "shm.tnf": bytes(50) + b"600000".ljust(314, b"\0") * 9,
        "actions.csv": f"{','.join(REQUIRED)},category\nsh600000,2024-06-28,1,0,0,0,1\n".encode(),
        "universe.csv": b"symbol,weight,group,enabled\nAAPL,5,a,1\nSPX,4,b,1\n",
        "ranges.csv": f"{','.join(FIELDS)}\nsh,600000,600999,stock,2,1990,x\n".encode(),
        "codes.txt": b"sh600000\nsz000001\n",
        "quotemill.toml": b'market_schema = "m"\n[tdx]\nretries = 3\nindices = ["sh000001"]\n',
        ".env": b"QUOTEMILL_TDX__RETRIES=3\nQUOTEMILL_MARKET_SCHEMA='m'\n",
    }


@pytest.mark.parametrize("name", FILES)
@given(data=st.data())
def test_files(
    name: str,
    good_files: dict[str, bytes],
    tmp_path_factory: pytest.TempPathFactory,
    data: st.DataObject,
) -> None:
    folder = tmp_path_factory.getbasetemp() / "foreign"
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_bytes(data.draw(damaged(good_files[name])))
    try:
        fails_as_ours(lambda: FILES[name](path))
    finally:
        path.unlink()
