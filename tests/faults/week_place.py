"""The home of a scheduled week with its server and simulated services; what two weeks compare."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from loaders.ib.slots import NEW_YORK
from loaders.sandbox.ib.service import IbSandbox
from loaders.sandbox.ib.world import World as IbWorld
from loaders.sandbox.tdx.calls import Options
from loaders.sandbox.tdx.service import TdxSandbox
from loaders.sandbox.tq.service import TqSandbox
from loaders.sandbox.tq.world import World as TqWorld
from loaders.sandbox.world.actions import actions_csv
from loaders.sandbox.world.market import SyntheticMarket
from loaders.trading_time import SHANGHAI
from loaders.warehouse.embedded import server as embedded
from tests.e2e.commands import Place
from tests.faults.scene import facts
from tests.faults.week import Machine

MARKET = SyntheticMarket(codes=12, days=40, seed=5)
# what outlives a new machine in a home: the server, and what dbt has parsed
LASTING = {"postgres", "postgres.lock", "socket", "logs", "dbt"}
OPTIONS = {
    "HOST": "127.0.0.1",
    "STAGE": "0",
    "MAX_STRIKES_PER_EXPIRY": "2",
    "MAX_DTE": "60",
    "SLOT_RANGE": "09:30-10:00",
    "RATE_LIMITS__SNAPSHOT__PER_MINUTE": "6000",
    "RATE_LIMITS__OPEN_INTEREST__PER_MINUTE": "6000",
    "QUOTE_TIMEOUT": "2",
    "SETTLE": "0.05",
    "CONNECT_TIMEOUT": "3",
}
# two of the 14 slots, and of 192 checks of what remains those after another job
JOBS = {
    "IB_SNAPSHOT__WHEN": "daily 09:30 10:00",
    "IB_REMAINDER__WHEN": "daily 04:03 07:33 09:28 09:33 10:03 17:03",
}
FUTURES = {
    "WAIT": "0",
    "RETRIES": "0",
    "BACKOFF": "0",
    "PACE": "0",
    "CONCURRENCY": "1",
    "DAYS_PER_PROCESS": "100",
}
# refuses every connection
DEAD = {"QUOTEMILL_TQ__AUTH_URL": "http://127.0.0.1:9", "QUOTEMILL_TQ__MD_URL": "ws://127.0.0.1:9"}
COMPARED = {
    "market": "symbol_dim trading_calendar corporate_actions adjustment_segments kline_daily_hfq "
    "kline_daily_qfq kline_weekly_qfq index_kline_daily",
    "raw_ib": "session underlying contract session_contract negative_contract chain_snapshot "
    "chain_close open_interest slot_run",
    "futures": "main_schedule main_segments symbol_day_index no_data_days trading_sessions "
    "tick_coverage roll_gaps",
    "options": "contracts sessions chain_intraday chain_daily_clean chain_daily_adjusted "
    "open_interest",
}
# when and by which run a row came, and how late that was
WHEN = [
    "fetched_at",
    "source_route",
    "_dlt_load_id",
    "ingest_id",
    "captured_at",
    "capture_lag_s",
    "asof_at",
    "und_quote_at",
    "discovered_at",
    "refused_at",
    "started_at",
    "finished_at",
    "data_quality_flag",
]


@dataclass(frozen=True)
class Room:
    """A home with its server, in which one machine after the other is set up."""

    home: Path
    actions: Path

    @property
    def url(self) -> str:
        return embedded.ensure_running(self.home).url

    def keep(self) -> None:
        """Save the warehouse for later machines."""
        self._copy("kept", "postgres")

    @contextmanager
    def machine(self, clock: datetime) -> Iterator[Machine]:
        """A new machine, with the saved warehouse."""
        self._copy("postgres", "kept")
        for path in self.home.iterdir():
            if path.is_dir() and path.name not in LASTING:
                shutil.rmtree(path)
        for path in (self.home / "logs").glob("*.jsonl"):
            path.unlink()
        with self.first(clock) as made:
            yield made

    @contextmanager
    def first(self, clock: datetime) -> Iterator[Machine]:
        """A machine in the home as it is, at this time."""
        shanghai = clock.astimezone(SHANGHAI).replace(tzinfo=None)
        new_york = clock.astimezone(NEW_YORK).replace(tzinfo=None)
        copper = TqWorld(
            ("SHFE.cu",), first=date(2025, 6, 26), end=date(2025, 7, 8), ticks_per_day=60
        )
        with (
            TdxSandbox(MARKET, clock=shanghai, options=Options(timeout_delay=0.0)) as tdx,
            IbSandbox(IbWorld(["AAPL"]), clock=new_york) as ib,
            TqSandbox(copper, clock=shanghai) as tq,
        ):
            futures = {name.upper(): str(value) for name, value in tq.settings().items()}
            futures |= FUTURES | {"VARIETIES": ",".join(copper.varieties)}
            settings = {
                "QUOTEMILL_TDX__BASE_URL": tdx.url,
                "QUOTEMILL_TDX__CORPORATE_ACTIONS": str(self.actions),
                "QUOTEMILL_TDX__INDICES": "sh000001",
                "QUOTEMILL_TDX__BACKOFF": "0",
                "QUOTEMILL_TDX__OUTAGE_WAIT": "0",
                "QUOTEMILL_TDX__MINUTE_DAYS": "7",
                "QUOTEMILL_TDX__TICK_DAYS": "7",
                "QUOTEMILL_FINDING_LIMIT": "1000",
                "QUOTEMILL_BACKUPS_KEPT": "1",
                "QUOTEMILL_IB__PORT": str(ib.port),
                **{f"QUOTEMILL_IB__{name}": value for name, value in OPTIONS.items()},
                **{f"QUOTEMILL_TQ__{name}": value for name, value in futures.items()},
                **{f"QUOTEMILL_SCHEDULE__{name}": value for name, value in JOBS.items()},
                "DBT_EXCLUDE_RESOURCE_TYPES": "unit_test test",
                "DBT_PROFILES_DIR": str(self.home / "profiles"),
                "DBT_WRITE_JSON": "false",
                "DBT_LOG_LEVEL_FILE": "none",
            }
            yield Machine(Place(self.home, self.home, settings), settings, tdx, ib, tq)

    def _copy(self, name: str, template: str) -> None:
        with psycopg.connect(make_conninfo(self.url, dbname="template1"), autocommit=True) as conn:
            conn.execute(f"drop database if exists {name} with (force)".encode())
            conn.execute(f"create database {name} template {template} strategy file_copy".encode())


def room(home: Path) -> Room:
    """A room whose server need not survive a power cut."""
    actions = home / "actions.csv"
    actions.write_text(actions_csv(MARKET.all_actions()), "utf-8")
    made = Room(home, actions)
    with psycopg.connect(made.url, autocommit=True) as conn:
        for setting in ("fsync", "full_page_writes"):  # a killed server keeps what it committed
            conn.execute(f"alter system set {setting} = off".encode())
        conn.execute("select pg_reload_conf()")
    return made


def tables(url: str) -> dict[str, list[tuple[Any, ...]]]:
    """What two weeks must have in common at their end."""
    contents = facts(url, times=False)
    with psycopg.connect(url) as conn:
        for schema, names in COMPARED.items():
            for name in names.split():
                query = f"select (to_jsonb(t) - %s::text[])::text from {schema}.{name} as t"
                contents[f"{schema}.{name}"] = conn.execute(query.encode(), (WHEN,)).fetchall()
        contents["archived"] = conn.execute(
            "select view_name, partition_date, underlying, row_count from ops.archive_partitions"
        ).fetchall()
        contents["waiting"] = conn.execute(
            "select sample_time, conid from raw_ib.recapture where state = 'queued'"
        ).fetchall()
    return contents
