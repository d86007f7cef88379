"""A service, a warehouse and the commands between them, as a user has them: separate processes."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from loaders.sandbox.tdx.service import TdxSandbox
from loaders.trading_time import SHANGHAI
from tests.integration.tdx_load import bench

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
# what is cheap to load: a test that is about more names it, or its mode
CORE = tuple(f"--dataset={name}" for name in bench.CORE)
TABLES = (
    "security",
    "trading_day",
    "kline_daily",
    "index_kline",
    "kline_minute",
    "kline_period",
    "kline_adjusted",
    "tick_trade",
    "quote",
    "market_stats",
    "stock_info",
    "corporate_action",
    "rejected_row",
    "answer_gap",
)


def wait_until(what: str, condition: Callable[[], Any], bound: float = 180.0) -> Any:
    """Poll until `condition()` is true; its value. Fails after `bound` seconds."""
    deadline = time.monotonic() + bound
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {bound:.0f} s in vain until {what}"
        time.sleep(0.02)
    return value


@dataclass
class Finished:
    """A command that ended. `said` is its stderr."""

    code: int
    said: str
    out: str


@dataclass
class Scene:
    """Commands run in `home` with the settings in `env` and no others; loads without arguments of
    their own are of the datasets `CORE`."""

    home: Path
    sandbox: TdxSandbox
    dsn: str | None
    env: dict[str, str] = field(default_factory=dict)
    seen: str = ""  # where the tests look, if it is not in the settings

    @property
    def as_of(self) -> str:
        return self.sandbox.clock.replace(tzinfo=SHANGHAI).isoformat()

    def environ(self) -> dict[str, str]:
        machine = {
            k: v
            for k, v in os.environ.items()
            if not k.startswith(("QUOTEMILL_", "TDX_", "DB_", "DBT_", "PG"))
        }
        return (
            machine
            | {
                "QUOTEMILL_HOME": str(self.home),
                "QUOTEMILL_TDX__BASE_URL": self.sandbox.url,
                "QUOTEMILL_TDX__INDICES": "sh000001",
                "QUOTEMILL_TDX__BACKOFF": "0",
                "QUOTEMILL_TDX__OUTAGE_WAIT": "0",
                "QUOTEMILL_TDX__MINUTE_DAYS": "1",
                "QUOTEMILL_TDX__TICK_DAYS": "1",
                "DBT_PROFILES_DIR": str(self.home / "profiles"),
                "PYTHONPATH": str(ROOT),
            }
            | ({"QUOTEMILL_WAREHOUSE_URL": self.dsn} if self.dsn else {})
            | self.env
        )

    def start(self, *command: str | Path) -> subprocess.Popen[str]:
        return subprocess.Popen(
            list(map(str, command)),
            cwd=self.home,
            env=self.environ(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def begin(self, *args: str) -> subprocess.Popen[str]:
        """`loaders run tdx` at the sandbox's clock, in the background."""
        return self.start(BIN / "loaders", "run", "tdx", "--as-of", self.as_of, *(args or CORE))

    def run(self, *args: str) -> Finished:
        return ended(self.begin(*args))

    def loaders(self, *args: str) -> Finished:
        return ended(self.start(BIN / "loaders", *args))

    def driven(self, report: Path, moment: str, nth: int, *args: str) -> Finished:
        """`loaders run tdx` that kills itself at the nth time of a moment."""
        driver = (sys.executable, "-m", "tests.faults.driver", report, moment, str(nth))
        command = ("run", "tdx", "--as-of", self.as_of, *(args or CORE))
        return ended(self.start(*driver, *command))

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.seen or self.dsn or "") as conn:
            return conn.execute(query.encode(), values or None).fetchall()

    def jobs(self) -> list[str]:
        return [row[0] for row in self.rows("select status from ops.ingestion_jobs order by 1")]

    def facts(self) -> dict[str, list[tuple[Any, ...]]]:
        return facts(self.seen or self.dsn or "")


def ended(process: subprocess.Popen[str]) -> Finished:
    out, said = process.communicate(timeout=240)
    return Finished(process.returncode, said, out)


def facts(dsn: str, *, moments: bool = True) -> dict[str, list[tuple[Any, ...]]]:
    """Everything that a load leaves and the next one stands on: rows, cursors, their publication.

    Of a row all but the load id. Without `moments` also not when it came and from where, for loads
    whose clocks differed: of an index's minutes these decide the route, and the label of noon.
    """
    apart = ["_dlt_load_id", "file_no"]
    if not moments:
        apart += ["fetched_at", "source_route", "route_no", "source_label"]
    at = "last_success_at" if moments else "null"
    found: dict[str, list[tuple[Any, ...]]] = {}
    with psycopg.connect(dsn) as conn:
        for table in TABLES:
            # a number says who came first
            columns = ", ".join(
                row[0].replace(
                    "route_no", "(select route from ops.routes as r where r.route_no = t.route_no)"
                )
                for row in conn.execute(
                    "select attname from pg_attribute where attrelid = %s::regclass and attnum > 0 "
                    "and attname <> all(%s) and not attisdropped order by attnum",
                    (f"raw_tdx.{table}", apart),
                )
            )
            query = f"select {columns} from raw_tdx.{table} as t"
            if (
                table == "trading_day"
            ):  # a predicted day means nothing once the service has passed it
                query += (
                    " where source = 'service' or trade_date > "
                    "(select max(trade_date) from raw_tdx.trading_day where source = 'service')"
                )
            found[table] = conn.execute(query.encode()).fetchall()
        found["ingestion_state"] = conn.execute(
            f"select source, dataset, key, last_success_date, {at}, cursor "
            "from ops.ingestion_state".encode()
        ).fetchall()
        found["cursors"] = sorted(_cursors(conn))
    return found


def _cursors(conn: psycopg.Connection) -> list[tuple[str, str, str]]:
    """The cursors of the newest state that belongs to a finished load, as dlt restores them."""
    from dlt.common.versioned_state import decompress_state

    row = conn.execute(
        "select state from raw_tdx._dlt_pipeline_state as s join raw_tdx._dlt_loads as l "
        "on l.load_id = s._dlt_load_id where l.status = 0 order by l.load_id desc limit 1"
    ).fetchone()
    assert row is not None
    state: Mapping[str, Any] = decompress_state(row[0])
    return [
        (resource, key, day)
        for resource, held in state["sources"]["tdx"]["resources"].items()
        for key, day in held.get("cursor", {}).items()
    ]


def assert_same(found: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Two sets of facts, compared table by table: a whole diff of them would say nothing."""
    for table, rows in expected.items():
        missing, surplus = set(rows) - set(found[table]), set(found[table]) - set(rows)
        assert not missing, f"{table} lacks {sorted(missing, key=str)[:3]}"
        assert not surplus, f"{table} has {sorted(surplus, key=str)[:3]} too much"
        assert len(found[table]) == len(rows), f"{table} holds rows twice"
