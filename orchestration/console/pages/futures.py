"""The page of China futures: varieties, the ticks of each contract and day, rolls, what is due."""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

import psycopg

from loaders import sources
from loaders.ticks import store_state
from orchestration.console.context import Console
from orchestration.console.errors import describe
from orchestration.console.pages.chains import gather_loads, gather_plan
from orchestration.console.pages.site import add_or_explain
from quotemill.readers import futures_coverage

SOURCE = "tq"
SHOWN = 120  # days
ROLLS = 30
KINDS = {"complete": "good", "short": "warn", "to_restamp": "warn", "no_data": "faint"}


def gather_futures(
    console: Console, variety: str = "", until: date | None = None, lacking: str = ""
) -> Mapping[str, Any]:
    """The varieties with their coverage, the days of one, and rolls."""
    values: dict[str, Any] = {
        "source": SOURCE,
        "missing": sources.find_operations(SOURCE).missing(console.settings()),
        "variety": variety,
        "until": until,
        "is_lacking": bool(lacking),
        "kinds": KINDS,
        "varieties": [],
        "days": [],
        "older": None,
        "rolls": [],
        **gather_loads(console, SOURCE),
    }
    chosen = variety.strip() or None

    warehouse = console.find_warehouse()
    if warehouse is None:
        return values | {"error": None}
    schema = warehouse.inner_schema("futures")

    def read_varieties(conn: psycopg.Connection) -> Mapping[str, Any]:
        return {"varieties": futures_coverage.read_varieties(conn, schema)}

    def read_days(conn: psycopg.Connection) -> Mapping[str, Any]:
        rolls = futures_coverage.read_rolls(conn, schema, chosen, limit=ROLLS)
        shown: dict[str, Any] = {"rolls": rolls}
        if chosen:
            shown["days"] = futures_coverage.read_days(
                conn, schema, chosen, until=until, is_lacking=bool(lacking), limit=SHOWN
            )
            if len(shown["days"]) == SHOWN:
                shown["older"] = shown["days"][-1]["trading_day"] - timedelta(days=1)
        return shown

    # what there is stands beside a variety that there is not
    values = add_or_explain(values, lambda: console.read(read_varieties))
    return add_or_explain(values, lambda: console.read(read_days))


def gather_due(console: Console) -> Mapping[str, Any]:
    """The days of ticks that the next load fetches, or why their store takes none."""
    settings, warehouse = console.settings(), console.find_warehouse()
    if store_state.is_used(settings):
        state = store_state.read_state(settings, warehouse)
        if state.error is not None:
            return {"source": SOURCE, "plan": None, "error": describe(state.error)}
    return gather_plan(console, SOURCE)
