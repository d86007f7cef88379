"""The page of China futures: varieties, the ticks of each contract and day, rolls, what is due."""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from loaders import sources
from loaders.errors import UsageError
from orchestration.console.api.plans import describe_plan
from orchestration.console.context import Console
from orchestration.console.errors import describe
from orchestration.console.pages.chains import gather_loads, gather_plan
from orchestration.readers import futures_coverage

SOURCE = "tq"
SHOWN = 120  # days
ROLLS = 30
KINDS = {"complete": "good", "short": "warn", "to_restamp": "warn", "no_data": "faint"}


def gather_futures(
    console: Console, variety: str, until: date | None, *, is_lacking: bool
) -> Mapping[str, Any]:
    """The varieties with their coverage, the days of one, and rolls."""
    values: dict[str, Any] = {
        "source": SOURCE,
        "missing": sources.find(SOURCE).missing(console.settings()),
        "variety": variety,
        "until": until,
        "is_lacking": is_lacking,
        "kinds": KINDS,
        "varieties": [],
        "days": [],
        "older": None,
        "rolls": [],
        "fault": None,
        **gather_loads(console, SOURCE),
    }
    warehouse = console.find_warehouse()
    if warehouse is None:
        return values
    schema = warehouse.inner_schema("futures")
    chosen = variety.strip() or None
    try:
        values["varieties"] = console.read(
            lambda conn: futures_coverage.read_varieties(conn, schema)
        )
        values["rolls"] = console.read(
            lambda conn: futures_coverage.read_rolls(conn, schema, chosen, limit=ROLLS)
        )
        if chosen:
            values["days"] = console.read(
                lambda conn: futures_coverage.read_days(
                    conn, schema, chosen, until=until, is_lacking=is_lacking, limit=SHOWN
                )
            )
            if len(values["days"]) == SHOWN:
                values["older"] = values["days"][-1]["trading_day"] - timedelta(days=1)
    except UsageError as error:
        values["fault"] = describe(error)
    return values


def gather_due(console: Console) -> Mapping[str, Any]:
    """The days of ticks that the next load fetches, and what else is left to do."""
    return gather_plan(lambda: describe_plan(console, SOURCE)) | {"source": SOURCE}
