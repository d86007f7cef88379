"""The page of US option chains: what is due, slots of the session, last checks, stages, loads."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from loaders import sources
from loaders.check import Check
from loaders.engine import job_list
from orchestration.checks import option_gates, selfcheck
from orchestration.console.api.plans import PlanAnswer, describe_plan
from orchestration.console.context import Console
from orchestration.console.pages.site import add_or_explain
from orchestration.console.pages.words import mark
from quotemill.errors import QuotemillError
from quotemill.readers import option_slots
from quotemill.readers.option_slots import SlotRun

SOURCE = "ib"
SHOWN = 10  # loads
# parts of a day that may be started alone: the label, the command, what the API gets
LOADS: tuple[tuple[str, str, Mapping[str, str]], ...] = (
    (mark("List the session's contracts"), "--task discover", {"mode": "discover"}),
    (mark("Capture the current slot"), "--slot now", {"mode": "snapshot", "slot": "now"}),
    (
        mark("Retry missing contracts"),
        "--retry-missed",
        {"mode": "snapshot", "retry_missed": "true"},
    ),
    (mark("Capture the close"), "--task close", {"mode": "close"}),
    (mark("Load open interest"), "--task enrich", {"mode": "enrich"}),
    (mark("Load day bars of the underlyings"), "--task daily", {"mode": "daily"}),
)
COMMANDS = (
    (mark("Build the tables"), "quotemill build"),
    (mark("Check the session"), f"quotemill selfcheck {SOURCE}"),
    (mark("Search the log"), f"quotemill logscan {SOURCE}"),
    (mark("Archive completed days"), "quotemill archive"),
    (mark("Delete old archived slots"), "quotemill retention"),
    (mark("Merge archive files"), "quotemill archive --compact"),
)
KINDS = {"complete": "good", "partial": "warn", "failed": "bad"}


def gather_chains(console: Console) -> Mapping[str, Any]:
    """The chains that the warehouse knows; what is due follows, as it may ask the gateway."""
    settings = console.settings()
    warehouse = console.find_warehouse()
    values: dict[str, Any] = {
        "source": SOURCE,
        "missing": sources.find_operations(SOURCE).missing(settings),
        "stages": [],
        "checked": None,
        "matrix": None,
        "words": selfcheck.WORDS,
        "loads": LOADS,
        "commands": COMMANDS,
        **gather_loads(console, SOURCE),
    }

    if warehouse is None:
        return values | {"error": None}

    def read_checks() -> Mapping[str, Any]:
        checked = selfcheck.run(warehouse, None, console.at, settings)
        return {"checked": checked, "matrix": _arrange_checks(checked.checks)}

    # an error before the first build
    values = add_or_explain(values, lambda: {"stages": option_gates.list_stages(warehouse)})
    return add_or_explain(values, read_checks)


def _arrange_checks(checks: list[Check]) -> dict[str, Any]:
    """Checks of symbols by symbol and name; those of the storage have no symbol."""
    names = list(dict.fromkeys(check.name for check in checks if check.subject))
    symbols: dict[str, dict[str, Check]] = {}
    for check in checks:
        if check.subject:
            symbols.setdefault(check.subject, {})[check.name] = check
    return {
        "names": names,
        "symbols": symbols,
        "storage": [check for check in checks if not check.subject],
    }


def gather_due(console: Console) -> Mapping[str, Any]:
    """The tasks that are due now, and the session's slots."""
    shown = gather_plan(console, SOURCE)
    plan: PlanAnswer | None = shown["plan"]
    detail = plan.detail if plan else {}
    day = date.fromisoformat(detail["trade_date"]) if detail else None
    runs: list[SlotRun] = []
    if console.find_warehouse() is not None:
        day = day or console.read(option_slots.find_newest_session)
        runs = console.read(lambda conn: option_slots.read_slots(conn, day)) if day else []
    symbols = [symbol["symbol"] for symbol in detail.get("symbols", [])]
    at = datetime.fromisoformat(detail["judged_at"]) if detail else None
    return shown | {"day": day, "at": at, **arrange_slots(runs, detail, symbols)}


def arrange_slots(
    runs: list[SlotRun], detail: Mapping[str, Any], symbols: list[str]
) -> dict[str, Any]:
    """The captures by symbol and slot, and those of the close."""
    labels = dict.fromkeys(detail.get("slots", ()))
    labels |= dict.fromkeys(run.slot for run in runs if run.kind != "close")
    by_symbol: dict[str, dict[str, SlotRun]] = {symbol: {} for symbol in symbols}
    for run in runs:
        place = by_symbol.setdefault(run.symbol, {})
        place["close" if run.kind == "close" else run.slot] = run
    return {"slots": sorted(labels), "captures": by_symbol, "kinds": KINDS}


def gather_plan(console: Console, name: str) -> dict[str, Any]:
    """The plan of a source, or the error that stands in its place, such as a gateway away."""
    return add_or_explain(
        {"source": name, "plan": None},
        lambda: {"plan": describe_plan(console, name)},
        QuotemillError,
    )


def gather_loads(console: Console, name: str) -> dict[str, Any]:
    """The last loads of a source, and how far each of its datasets is."""
    warehouse = console.find_warehouse()
    if warehouse is None:
        return {"jobs": [], "datasets": []}
    datasets = job_list.report(warehouse, 1)["datasets"]
    return {
        "jobs": console.read(lambda conn: job_list.recent_jobs(conn, SHOWN, source=name)),
        "datasets": [row for row in datasets if row["source"] == name],
    }
