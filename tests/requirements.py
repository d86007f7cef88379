"""What tests need that a machine may lack."""

import importlib.util
import os
import sys

import pytest

# what `require` may skip for, and what adds it
ADDED_BY = {
    "shared": "recorded market data (in ../shared)",
    "tq": "futures client (make install)",
    "ib": "IB's client (make install)",
    "console": "the console's server (make install)",
    "questdb": "QuestDB (quotemill questdb fetch)",
    "timescale": "TimescaleDB (.ci/timescale)",
    "tsl": "TimescaleDB's community edition (QUOTEMILL_TEST_TSL_URL)",
    "citus": "a cluster with Citus (QUOTEMILL_TEST_CITUS_URL)",
    "pgbouncer": "PgBouncer (on PATH)",
    "peers": "packages of other projects (a network)",
    "dagster": "Dagster (make dagster)",
    "browser": "browser (.ci/browser)",
    "qlib": "qlib (.ci/qlib)",
    "systemd": "systemd-analyze (on PATH)",
    "cron": "crontab (on PATH)",
    "debian": "PostgreSQL 15 (apt install postgresql-15)",
    "promtool": "promtool (on PATH)",
    "tmpfs": "full disk (a user who may mount one)",
}
# `ib_insync` as if the gateway's other client were not installed
IB_LIBRARY = os.environ.get("IB_LIBRARY", "ib_async")
if IB_LIBRARY != "ib_async":
    sys.modules["ib_async"] = None  # type: ignore[assignment]


def require(name: str, present: bool, reason: str) -> None:
    """Skip what the machine cannot serve; QUOTEMILL_REQUIRE turns the skip into a failure."""
    if present:
        return
    if name in os.environ.get("QUOTEMILL_REQUIRE", "").split(","):
        pytest.fail(f"QUOTEMILL_REQUIRE names {name}, but {reason}")
    pytest.skip(f"{name}: {reason}")


def require_dagster() -> None:
    """Skip where Dagster is not installed."""
    is_there = importlib.util.find_spec("dagster") is not None
    require("dagster", is_there, "Dagster is not installed")


def require_ib() -> None:
    """Skip where the gateway's client is not installed."""
    require(
        "ib", importlib.util.find_spec(IB_LIBRARY) is not None, f"{IB_LIBRARY} is not installed"
    )
