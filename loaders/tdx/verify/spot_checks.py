"""Spot checks after an initial load: presence, and agreement with the service.

Without a service, day bars are compared with the files of the desktop client.

Data that a load was asked for must be there. A check is skipped, with a reason, if no load was
asked for its data or no build has made its relation yet.
"""

import asyncio
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from loaders.engine.check import Check, CheckFailed, NotApplicable, run_checks
from loaders.engine.progress import Reporter
from loaders.engine.test_runs import Record
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
from quotemill.wording import say_count

NAMED = 5  # most codes that a message names
NEWEST_BARS = 10  # bars requested from the service; the newest stored one should be among them
ROLLUPS = ("kline_5m", "kline_15m", "kline_30m", "kline_60m")
NOT_BUILT = "not built yet: `quotemill build`"


Evidence = dict[str, Any]
Requested = Mapping[str, set[str]]  # keys by dataset
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
        loaded = store.loaded_codes()
        if not loaded:
            raise UsageError(
                "no day bars have been loaded yet", hint="`loaders run tdx --mode init` loads them"
            )
        codes = sorted(random.Random(seed).sample(loaded, min(sample, len(loaded))))
        listed: set[str] | None = None
        if settings.tdx.base_url is not None:
            listed, bars = asyncio.run(_ask_service(settings, codes, as_of))
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
        status="failed" if any(check.status == "fail" for check in checks) else "passed",
        started_at=started_at,
        finished_at=clock(),
        base_url=settings.tdx.address or str(settings.tdx.client),
        checks=checks,
        options={"sample": len(codes), "seed": seed},
        detail={"codes": codes, "space": tables},
    )


async def _ask_service(
    settings: Settings, codes: Sequence[str], as_of: datetime
) -> tuple[set[str], Newest]:
    """Ask the service for its codes and the newest bars, or errors, of sampled ones."""
    async with TdxClient(settings.tdx) as client:
        await client.probe(as_of.astimezone(SHANGHAI).date())
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
    requested = store.requested([*codes, *index_kline.keys(settings.tdx.indices), *EXCHANGES])
    for exchange in EXCHANGES:
        yield f"codes {exchange}", partial(_codes, store, listed, exchange)
    for code in codes:
        yield f"{code} day", partial(_day_bar, store, bars[code], source, code)
        for period, relation in (("week", "kline_weekly_qfq"), ("month", "kline_monthly_qfq")):
            yield f"{code} {period}", partial(_built, store, relation, [code])
        yield f"{code} minute", partial(_minutes, settings, store, requested, code)
    for code in settings.tdx.indices:
        yield f"index {code}", partial(_index, store, requested, code)
    for relation in ROLLUPS:
        yield relation, partial(_rollup, store, relation, codes)
    for dataset, relation in (("quote_snapshot", "quote"), ("stock_info", "stock_info")):
        yield dataset, partial(_snapshot, store, requested, dataset, relation, codes)
    yield "market_stats_snapshot", partial(_market_stats, store, requested)


def _codes(store: Store, service: set[str] | None, exchange: str) -> Evidence:
    """Check that the stored codes of an exchange are those that the service lists.

    A code that the service no longer lists stays, marked as delisted. Raises NotApplicable without
    a service: the client's folder may be incomplete, so it delists nothing.
    """
    if service is None:
        raise NotApplicable("no service is configured whose list could be compared")
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
            (theirs - ours, "service's codes not stored as listed"),
            (ours - theirs, "codes stored as listed not in the service's lists"),
        )
        if group
    ]
    if built is not None:
        here = {code for code in built if code[:2] == exchange}
        seen["symbol_dim"] = len(here)
        if lacking := set(stored) - here:
            faults.append(
                f"symbol_dim lacks {say_count(len(lacking), 'stored code')} ({_name_some(lacking)})"
            )
        if surplus := here - set(stored):
            faults.append(
                f"symbol_dim has {say_count(len(surplus), 'code')} more ({_name_some(surplus)})"
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
        raise CheckFailed(f"{source} gave no bars to compare with: {theirs}")
    days = records.to_dates(theirs["day"])
    if ours is None:
        if not days:
            raise NotApplicable(f"{source} has no day bar of it either")
        raise CheckFailed(f"no final day bar is stored; the newest of {source} is of {days[-1]}")
    day = ours["trade_date"]
    if day not in days:
        newest = days[-1] if days else "none"
        raise CheckFailed(f"{source} has no bar of {day} among its newest; its newest is {newest}")
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


def _require_rows(store: Store, schema: str, relation: str, codes: Sequence[str]) -> Evidence:
    """Check that the relation has rows of all `codes`."""
    present = store.codes_in(schema, relation, codes)
    if missing := [code for code in codes if code not in present]:
        raise CheckFailed(f"{schema}.{relation} has no row of {_name_some(missing)}")
    return {"codes": present}


def _built(store: Store, relation: str, codes: Sequence[str]) -> Evidence:
    """Check that a built relation has rows of all `codes`."""
    if not store.exists(store.market, relation):
        raise NotApplicable(NOT_BUILT)
    _require_rows(store, store.market, relation, codes)
    return {"relation": f"{store.market}.{relation}"}


def _minutes(settings: Settings, store: Store, requested: Requested, code: str) -> Evidence:
    """Check that a code has minutes if it traded within the reach of a first load."""
    _requested_keys("minute_1m", requested, [code])
    if newest := store.newest_minute_day(code):
        return {"newest": newest.isoformat()}
    bar, oldest = store.newest_day_bar(code), store.nth_newest_day(settings.tdx.minute_days)
    if settings.tdx.base_url is None:
        raise NotApplicable("the client's folder has no minutes of it, and there is no service")
    if bar is None or (oldest is not None and bar["trade_date"] < oldest):
        raise NotApplicable(
            f"it has not traded in the last {settings.tdx.minute_days} trading days"
        )
    raise CheckFailed(f"no minute is stored; its newest day bar is of {bar['trade_date']}")


def _index(store: Store, requested: Requested, code: str) -> Evidence:
    """Check that an index has every period that a load was asked for."""
    keys = _requested_keys("index_kline", requested, index_kline.keys([code]))
    stored = store.index_periods(code)
    wanted = [period for _, period in map(index_kline.split_key, keys)]
    if missing := [period for period in wanted if period not in stored]:
        raise CheckFailed(f"no bar of: {', '.join(missing)}", {"newest": stored})
    return {"newest": stored}


def _rollup(store: Store, relation: str, codes: Sequence[str]) -> Evidence:
    with_minutes = store.codes_in("raw_tdx", "kline_minute", codes)
    if not with_minutes:
        raise NotApplicable("none of the drawn codes has minutes")
    return _built(store, relation, with_minutes)


def _snapshot(
    store: Store, requested: Requested, dataset: str, relation: str, codes: Sequence[str]
) -> Evidence:
    return _require_rows(store, "raw_tdx", relation, _requested_keys(dataset, requested, codes))


def _market_stats(store: Store, requested: Requested) -> Evidence:
    wanted = _requested_keys("market_stats_snapshot", requested, EXCHANGES)
    newest = store.exchanges_of_stats()
    if missing := [exchange for exchange in wanted if exchange not in newest]:
        raise CheckFailed(f"raw_tdx.market_stats has no row of {', '.join(missing)}")
    return {"newest": newest}


def _requested_keys(dataset: str, requested: Requested, keys: Sequence[str]) -> list[str]:
    """The keys that a load of the dataset was asked for. Raises NotApplicable without any."""
    wanted = [key for key in keys if key in requested.get(dataset, ())]
    if not wanted:
        raise NotApplicable(f"no load has requested it: `loaders run tdx --dataset {dataset}`")
    return wanted


def _name_some(codes: set[str] | Sequence[str]) -> str:
    shown = sorted(codes)[:NAMED]
    return ", ".join(shown) + (", …" if len(codes) > NAMED else "")
