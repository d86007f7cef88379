"""Spot checks after an initial load: presence, and agreement with the service.

What a load was asked for has a row in each relation that comes of it. A check is skipped, with a
reason, if no load was asked for its data or no build has made its relation yet. Codes are compared
with the service's, day bars with the service or, without one, the files of the desktop client.
"""

import asyncio
import random
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from loaders.check import Check, CheckFailed, NotApplicable, run_checks
from loaders.engine.check_runs import Record
from loaders.engine.progress import Reporter
from loaders.settings import Settings
from loaders.tdx.bars import records
from loaders.tdx.bars.records import Records
from loaders.tdx.client.answers import EXCHANGES
from loaders.tdx.client.client import TdxClient
from loaders.tdx.datasets import index_kline
from loaders.tdx.files import vipdoc
from loaders.tdx.files.folder import scan_folder
from loaders.tdx.request import require_settings
from loaders.tdx.verify.store import BAR_FIELDS, Store
from loaders.trading_time import SHANGHAI
from loaders.warehouse.space import space
from quotemill.errors import DataQualityError, QuotemillError, UsageError
from quotemill.warehouse.postgres import Warehouse
from quotemill.warehouse.schemas import has_relation
from quotemill.wording import say_count

NAMED = 5  # most codes that a message names
NEWEST_BARS = 10  # bars requested from the service; the newest stored one should be among them
NOT_BUILT = "not built yet: run `quotemill build`"
OF_DAYS, OF_MINUTES = ("kline_weekly_qfq", "kline_monthly_qfq"), ("5m", "15m", "30m", "60m")
# relations, landed or built, by the dataset that they come of
RELATIONS = {
    **dict.fromkeys(OF_DAYS, "kline_daily"),
    "index_kline": "index_kline",
    "kline_minute": "minute_1m",
    **{f"kline_{length}": "minute_1m" for length in OF_MINUTES},
    "quote": "quote_snapshot",
    "stock_info": "stock_info",
    "market_stats": "market_stats_snapshot",
}

Evidence = dict[str, Any]
Newest = dict[str, Records | QuotemillError]  # by code


class Verification(Record):
    """The record of spot checks, and its document for people and programs."""

    @property
    def sample(self) -> tuple[str, ...]:
        """The drawn codes."""
        return tuple(self.detail["codes"])

    @property
    def space(self) -> list[dict[str, Any]]:
        """Tables with their sizes, the largest first."""
        return list(self.detail["space"])

    def document(self) -> dict[str, Any]:
        """All results as plain values; times in exchange time."""
        return {
            "schema_version": 1,
            "started_at": self.started_at.astimezone(SHANGHAI).isoformat(timespec="seconds"),
            "finished_at": self.finished_at.astimezone(SHANGHAI).isoformat(timespec="seconds"),
            "base_url": self.base_url,
            "seed": self.options["seed"],
            "sample": list(self.sample),
            "status": self.status,
            "summary": {
                "total": len(self.checks),
                **{name: self.count(name) for name in ("passed", "failed", "skipped")},
            },
            "results": self.rows(),
            "space": self.space,
        }


def verify(
    settings: Settings,
    warehouse: Warehouse,
    *,
    schemas: Sequence[str],
    sample: int,
    seed: int,
    as_of: datetime,
    clock: Callable[[], datetime],
    reporter: Reporter,
) -> Verification:
    """Run the spot checks on a random sample of loaded codes.

    schemas: schemas whose sizes are measured.
    sample: number of codes to draw from those with recorded loads of day bars.
    seed: seed of the draw.

    Raises UsageError if nothing is loaded, UpstreamError if the service or the warehouse is
    unavailable.
    """
    started_at = clock()
    with warehouse.connect() as conn:
        store = Store(conn, settings.market_schema)
        loaded = store.loaded_codes() if has_relation(conn, "ops.ingestion_state") else []
        if not loaded:
            raise UsageError(
                "no day bars have been loaded yet",
                hint="Run `loaders run tdx --mode init` to load them.",
            )
        codes = sorted(random.Random(seed).sample(loaded, min(sample, len(loaded))))
        listed: set[str] | None = None
        if settings.tdx.has_service:
            listed, bars = asyncio.run(_ask_service(settings, codes))
        else:
            bars = _read_files(settings, store, codes, as_of)
        spot_checks = list(_checks(settings, store, listed, bars))
        reporter.start("verify", len(spot_checks))
        checks: list[Check] = []
        for check in run_checks((name, partial(_pass, name, run)) for name, run in spot_checks):
            checks.append(check)
            reporter.advance("verify", 1)
        tables = space(conn, schemas)
    return Verification(
        source="tdx",
        kind="verify",
        status="failed" if any(check.verdict == "fail" for check in checks) else "passed",
        started_at=started_at,
        finished_at=clock(),
        base_url=settings.tdx.address or str(settings.tdx.client),
        checks=checks,
        options={"sample": len(codes), "seed": seed},
        detail={"codes": codes, "space": tables},
    )


async def _ask_service(settings: Settings, codes: Sequence[str]) -> tuple[set[str], Newest]:
    """Ask the service for its codes and the newest bars, or errors, of sampled ones."""
    async with TdxClient(settings.tdx) as client:
        listed = [*await client.codes(), *await client.etfs(expect_rows=False)]
        bars: Newest = {}
        for code in codes:
            try:
                answer = await client.kline_all(code, limit=NEWEST_BARS, expect_rows=False)
                bars[code] = records.from_answer(answer)
            except QuotemillError as error:
                bars[code] = error
    return {listing.code for listing in listed}, bars


def _read_files(settings: Settings, store: Store, codes: Sequence[str], as_of: datetime) -> Newest:
    """Read the newest bars of sampled codes from the client's files, or errors.

    Raises SettingsError for an unusable folder, or without any.
    """
    folder = scan_folder(settings.tdx)
    if folder is None:
        require_settings(settings)
        return {}
    files, types = folder.bars("day"), store.instrument_types(codes)
    bars: Newest = {}
    for code in codes:
        try:
            bars[code] = _read_file(files.get(code), code, types.get(code, "stock"), as_of)
        except QuotemillError as error:
            bars[code] = error
    return bars


def _read_file(path: Path | None, code: str, instrument_type: str, as_of: datetime) -> Records:
    """The newest bars of a file. Raises DataQualityError for one that is missing or unreadable."""
    if path is None:
        raise DataQualityError(f"the client's folder has no file {code}.day")
    return vipdoc.read_bars(path, code, instrument_type, "day", as_of, newest=NEWEST_BARS).bars


def _pass(name: str, check: Callable[[], Evidence]) -> list[Check]:
    """Make a check, which raises CheckFailed or NotApplicable if it does not pass."""
    return [Check(name, "ok", figures=check())]


def _checks(
    settings: Settings, store: Store, listed: set[str] | None, bars: Newest
) -> Iterator[tuple[str, Callable[[], Evidence]]]:
    """Every check with its name; each is a separate call, so a failure hides no other."""
    codes, source = list(bars), "the service" if listed is not None else "the client's file"
    keys = [*codes, *index_kline.keys(settings.tdx.indices), *EXCHANGES]
    requested = store.requested(keys)
    for exchange in EXCHANGES:
        yield f"codes {exchange}", partial(_codes, store, listed, exchange)
    for code in codes:
        yield f"{code} day", partial(_day_bar, store, bars[code], source, code)
    for relation, dataset in RELATIONS.items():
        yield relation, partial(_rows, store, relation, dataset, requested.get(dataset, []))


def _rows(store: Store, relation: str, dataset: str, keys: Sequence[str]) -> Evidence:
    """Check that a relation has a row of each key that a load was asked for."""
    if not keys:
        raise NotApplicable(
            f"not requested by any load yet: run `loaders run tdx --dataset {dataset}`"
        )
    schema = store.find_schema(relation)
    if schema is None:
        raise NotApplicable(NOT_BUILT)
    present = store.present(schema, relation, keys)
    if missing := set(keys) - set(present):
        raise CheckFailed(f"{schema}.{relation} has no rows for {_name_some(missing)}")
    return {"keys": present}


def _codes(store: Store, service: set[str] | None, exchange: str) -> Evidence:
    """Check that the stored codes of an exchange are those that the service lists.

    A code that the service no longer lists stays, marked as delisted. Raises NotApplicable without
    a service: the client's folder may be incomplete, so it delists nothing.
    """
    if service is None:
        raise NotApplicable("no service is configured to compare the list with")
    stored = {c: listed for c, listed in store.securities().items() if c[:2] == exchange}
    theirs = {c for c in service if c[:2] == exchange}
    ours = {c for c, listed in stored.items() if listed}
    built = store.built_codes()
    seen: Evidence = {
        "service": len(theirs),
        "stored": len(ours),
        "stored_as_delisted": len(stored) - len(ours),
        "difference": len(ours) - len(theirs),
    }
    if not theirs and not ours:
        raise NotApplicable("neither the service nor the warehouse has a code of it")
    faults = [
        f"{len(group)} of the {what} ({_name_some(group)})"
        for group, what in (
            (theirs - ours, "codes of the service that are not stored as listed"),
            (ours - theirs, "codes stored as listed that are not in the service's lists"),
        )
        if group
    ]
    if built is not None:
        here = {code for code in built if code[:2] == exchange}
        seen["symbol_dim"] = len(here)
        if lacking := set(stored) - here:
            faults.append(
                f"symbol_dim is missing {say_count(len(lacking), 'stored code')} "
                f"({_name_some(lacking)})"
            )
        if surplus := here - set(stored):
            faults.append(
                f"symbol_dim has {say_count(len(surplus), 'extra code')} ({_name_some(surplus)})"
            )
    else:
        seen["symbol_dim"] = NOT_BUILT
    if faults:
        raise CheckFailed("; ".join(faults), seen)
    return seen


def _day_bar(store: Store, theirs: Records | QuotemillError, source: str, code: str) -> Evidence:
    """Check that the newest final day bar equals the bar of that day at the source.

    Volumes are compared in the coarser unit.
    """
    ours = store.newest_day_bar(code)
    if isinstance(theirs, QuotemillError):
        raise CheckFailed(f"{source} returned no bars to compare with: {theirs}")
    days = records.to_dates(theirs["day"])
    if ours is None:
        if not days:
            raise NotApplicable(f"{source} has no day bars for it either")
        raise CheckFailed(
            f"no final day bar is stored; the latest bar of {source} is for {days[-1]}"
        )
    day = ours["trade_date"]
    if day not in days:
        newest = days[-1] if days else "none"
        raise CheckFailed(f"{source} has no bar for {day}; its latest bar is for {newest}")
    bar = theirs[days.index(day)]
    pairs = {name: (ours[name], int(bar[name])) for name in BAR_FIELDS}
    units = ours["unit"], int(bar["unit"])
    shares = ours["volume"] * units[0], int(bar["volume"]) * units[1]
    pairs["volume"] = shares[0] // max(units), shares[1] // max(units)
    unlike = {name: [a, b] for name, (a, b) in pairs.items() if a != b}
    seen = {"trade_date": day.isoformat(), "service_newest": days[-1].isoformat()}
    if unlike:
        text = ", ".join(f"{name} {a}, {source} {b}" for name, (a, b) in unlike.items())
        counted = "shares" if max(units) == 1 else "hands"
        raise CheckFailed(f"{day}: stored {text} (li, {counted})", {**seen, "differences": unlike})
    return seen


def _name_some(codes: set[str]) -> str:
    shown = sorted(codes)[:NAMED]
    return ", ".join(shown) + (", …" if len(codes) > NAMED else "")
