"""The page of US option chains: what is due, slots of the session, last checks, stages, loads."""

from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any

from loaders import sources
from loaders.engine import job_list
from loaders.engine.check import Check
from loaders.errors import QuotemillError, UsageError
from orchestration.checks import option_gates, selfcheck
from orchestration.console.api.plans import PlanAnswer, describe_plan
from orchestration.console.context import Console
from orchestration.console.errors import describe
from orchestration.readers import option_slots
from orchestration.readers.option_slots import SlotRun

SOURCE = "ib"
SHOWN = 10  # loads
LISTED = 200  # loads among which those of one source are looked for
KINDS = {"complete": "good", "partial": "warn", "failed": "bad"}


def gather_chains(console: Console) -> Mapping[str, Any]:
    """What the warehouse knows; what is due follows by itself, since it may ask the gateway."""
    settings = console.settings()
    warehouse = console.find_warehouse()
    checked: selfcheck.Selfcheck | None = None
    stages: list[dict[str, Any]] = []
    fault = None
    if warehouse is not None:
        try:
            stages = option_gates.read(warehouse)
            checked = selfcheck.run(warehouse, None, console.at, settings)
        except UsageError as error:  # nothing was built yet
            fault = describe(error)
    return {
        "source": SOURCE,
        "missing": sources.find(SOURCE).missing(settings),
        "stages": stages,
        "checked": checked,
        "matrix": _arrange_checks(checked.checks) if checked else None,
        "words": selfcheck.WORDS,
        "fault": fault,
        **gather_loads(console, SOURCE),
    }


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
        "failed": [check for check in checks if check.status == "fail"],
    }


def gather_due(console: Console) -> Mapping[str, Any]:
    """What is due now, and the session's slots."""
    shown = gather_plan(lambda: describe_plan(console, SOURCE))
    plan: PlanAnswer | None = shown["plan"]
    detail = plan.detail if plan else {}
    day = date.fromisoformat(detail["trade_date"]) if detail else None
    runs: list[SlotRun] = []
    if console.find_warehouse() is not None:
        day = day or console.read(option_slots.find_newest_session)
        runs = console.read(lambda conn: option_slots.read_slots(conn, day)) if day else []
    symbols = [symbol["symbol"] for symbol in detail.get("symbols", [])]
    at = datetime.fromisoformat(detail["judged_at"]) if detail else None
    return shown | {"source": SOURCE, "day": day, "at": at, **arrange_slots(runs, detail, symbols)}


def arrange_slots(
    runs: list[SlotRun], detail: Mapping[str, Any], symbols: list[str]
) -> dict[str, Any]:
    """The captures by symbol and slot: the last of each slot, and the close."""
    labels = dict.fromkeys(detail.get("slots", ()))
    labels |= dict.fromkeys(run.slot for run in runs if run.kind != "close")
    by_symbol: dict[str, dict[str, SlotRun]] = {symbol: {} for symbol in symbols}
    for run in runs:
        place = by_symbol.setdefault(run.symbol, {})
        place["close" if run.kind == "close" else run.slot] = run
    return {"slots": sorted(labels), "captures": by_symbol, "kinds": KINDS}


def gather_plan(read: Callable[[], PlanAnswer]) -> dict[str, Any]:
    """A plan, or the error that stands in its place."""
    try:
        return {"plan": read(), "error": None}
    except QuotemillError as error:
        return {"plan": None, "error": describe(error)}


def gather_loads(console: Console, name: str) -> dict[str, Any]:
    """The last loads of a source, and how far each of its datasets is."""
    warehouse = console.find_warehouse()
    if warehouse is None:
        return {"jobs": [], "datasets": []}
    shown = job_list.report(warehouse, LISTED)
    return {
        "jobs": [job for job in shown["jobs"] if job["source"] == name][:SHOWN],
        "datasets": [row for row in shown["datasets"] if row["source"] == name],
    }
