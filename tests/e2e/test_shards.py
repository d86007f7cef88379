"""A market loaded by several processes at once."""

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import psycopg

from loaders.sandbox.tdx.calls import Options
from loaders.sandbox.tdx.service import TdxSandbox
from loaders.sandbox.world.market import SyntheticMarket
from loaders.trading_time import SHANGHAI
from tests.e2e.commands import Place
from tests.forks import Command

TABLES = {
    "security": "code",
    "trading_day": "trade_date",
    "kline_daily": "code, trade_date",
    "index_kline": "code, trade_date",
}
# one such service of another process would have loaded the rest at another second
UNLIKE = ("fetched_at", "load_no", "_dlt_load_id", "route_no", "file_no")
WORDS = ("--dataset", "kline_daily", "--dataset", "index_kline", "--json")


def test_shards_at_once_land_what_one_load_lands(
    new_database: Callable[..., str], tmp_path: Path
) -> None:
    market = SyntheticMarket(codes=60, days=400, seed=5)
    with TdxSandbox(market, options=Options(timeout_delay=0.0)) as sandbox:
        as_of = sandbox.clock.replace(tzinfo=SHANGHAI)
        whole = load_parts(sandbox, as_of, new_database(), tmp_path / "whole", [()])
        # into an empty database, which each of them prepares and each copies rows into
        shards = [("--shard", f"{number}/3") for number in (1, 2, 3)]
        parts = load_parts(sandbox, as_of, new_database(), tmp_path / "parts", shards)
    assert len(whole["kline_daily"]) > 20_000
    assert parts == whole


def load_parts(
    sandbox: TdxSandbox,
    as_of: datetime,
    dsn: str,
    folder: Path,
    shards: list[tuple[str, ...]],
) -> dict[str, list[str]]:
    """Start a load for each of the parts, wait for all, and read what they landed."""
    folder.mkdir()
    place = Place(
        folder,
        folder / "home",
        {"QUOTEMILL_WAREHOUSE_URL": dsn, "QUOTEMILL_TDX__BASE_URL": sandbox.url},
    )
    command = ("loaders", "run", "tdx", *WORDS, "--as-of", as_of.isoformat())
    running = [
        Command((*command, *shard), env=place.environment(), cwd=place.folder) for shard in shards
    ]
    for load in running:
        out, err = load.communicate()
        assert load.wait() == 0, err
        assert json.loads(out)["status"] == "succeeded"
    listed = place.inside("loaders", "status").stdout
    assert all(f"shard {shard[1]}" in listed for shard in shards if shard)
    with psycopg.connect(dsn) as conn:
        unlike = "".join(f" - '{name}'" for name in UNLIKE)
        return {
            table: [
                row
                for (row,) in conn.execute(
                    f"select (to_jsonb(t){unlike})::text from raw_tdx.{table} as t "
                    f"order by {keys}".encode()
                )
            ]
            for table, keys in TABLES.items()
        }
