"""Dataset `codes`: securities of the service and of the desktop client.

Stocks come from /api/codes, funds from /api/etf. No list names an index, so the configured indices
are added. The service's list is complete at its time, so codes that it lacks are no longer listed.
A list with no code of an exchange, or with fewer than 95 % of the known codes, is a fault of the
service, which leaves out an exchange whose list fails.

The client's folder adds the codes in its lists and those with day bars, by the rules of
loaders.tdx.instrument_kinds. The folder may be incomplete: a smaller folder delists nothing. A code
that has day bars and is missing from the list of its exchange is no longer listed, unless it has
bars since that list was written.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import psycopg

from loaders.engine.outcome import Outcome, records
from loaders.errors import DataQualityError, UpstreamError
from loaders.tdx.client.client import TdxClient
from loaders.tdx.context import Context, Dataset
from loaders.tdx.files import tnf
from loaders.tdx.files.folder import HQ_CACHE
from loaders.tdx.files.vipdoc import last_day
from loaders.tdx.files.written import State
from loaders.tdx.instrument_kinds import kind_of
from loaders.tdx.tables import SECURITY

KEY = "all"
KEPT_SHARE = 0.95
# A list that lacks more codes than exchanges delist in a day fails the load, once: the next load
# compares with this list.
MOST_DELISTED, DELISTED_SHARE = 5, 0.005
STRAYS_NAMED = 5


@dataclass(frozen=True)
class Security:
    code: str
    name: str
    instrument_type: str  # stock, fund, index
    source_route: str
    is_listed: bool = True

    @property
    def is_of_service(self) -> bool:
        return self.source_route.startswith("/api/") or self.source_route == "settings"


def fetch(run: Context, _: Sequence[str]) -> Iterator[Outcome]:
    """Yield one outcome with the listed codes and those that vanished.

    It fails if a part of the client's folder cannot be read, as the codes in that part are not
    known. The other codes are loaded.
    """
    fault = run.folder.fault if run.folder else None
    for outcome in _fetched(run):
        failure = "; ".join(filter(None, (outcome.failure, fault)))
        yield replace(outcome, failure=failure or None)


def _fetched(run: Context) -> Iterator[Outcome]:
    before = run.ask(known)
    in_folder = of_folder(run, before)
    if run.service is None:
        yield _of_folder_alone(run, in_folder)
        return
    vanished: list[str] = []

    async def lists() -> Outcome:
        found = await listed(run.client, run.settings.indices, before)
        # The service cannot lose a code that only the folder named.
        merged = merge(found, {c: s for c, s in before.items() if s.is_of_service})
        named = {s.code for s in found}
        merged += [s for s in in_folder.values() if s.code not in named]
        vanished.extend(s.code for s in merged if not s.is_listed and _was_listed(before, s.code))
        failure = None
        if len(vanished) > max(MOST_DELISTED, DELISTED_SHARE * len(before)):
            failure = f"{_listed_no_more(vanished)}, …; is the service's list whole?"
        return Outcome(KEY, records_of(merged, run.clock()), cursor=run.today, failure=failure)

    [outcome] = run.only(KEY, lists())
    # Not on the event loop, as the warning is written to the warehouse too.
    if vanished and not outcome.failure:
        run.load.warn(f"codes: {_listed_no_more(vanished)}")
    if outcome.rows is None and in_folder and run.mode != "realtime":
        outcome = _without_service(run, outcome, in_folder, before)
    yield outcome


def _without_service(
    run: Context, failed: Outcome, found: Mapping[str, Security], before: Mapping[str, Security]
) -> Outcome:
    """Take the new codes of the folder after the service's list failed.

    If the service is gone, the load goes on with the folder alone. A retry plans all of it again.
    """
    failure = failed.failure
    if failed.gone is not None:
        run.service = None
        hint = f" ({failed.gone.hint})" if failed.gone.hint else ""
        failure = f"{failure}{hint}; only what the client's folder has is loaded"
    new = [security for code, security in found.items() if code not in before]
    return Outcome(KEY, records_of(new, run.clock()) if new else None, failure=failure)


def _was_listed(before: Mapping[str, Security], code: str) -> bool:
    return code in before and before[code].is_listed


def of_folder(run: Context, before: Mapping[str, Security]) -> dict[str, Security]:
    """Map each code of the client's lists and day bars to its security.

    Empty unless files come first. Instruments of kinds that are not modelled are counted and
    skipped.
    """
    if run.folder is None or not run.settings.files_first:
        return {}
    found: dict[str, Security] = {}
    listed_on, left = dict[str, date](), Counter[str]()
    for exchange, file in tnf.FILES.items():
        path = run.folder.find(f"{HQ_CACHE}/{file}")
        if path is None:
            continue
        try:
            names, listed_on[exchange] = tnf.read(path, exchange), State.known_of(path).day
        except DataQualityError as error:
            run.load.warn(f"{error}; codes of {exchange} come from the names of files")
            continue
        for code, name in names.items():
            kind = kind_of(code)
            if kind is None:
                left[file] += 1
            elif kind != "index" or code in run.day_files:
                found[code] = Security(code, name or code, kind, f"{HQ_CACHE}/{file}")
    for code in sorted(run.day_files.keys() - found.keys()):
        kind = kind_of(code)
        if kind is None:
            left["names of files"] += 1
            continue
        name = before[code].name if code in before else code
        is_listed = kind == "index" or _trades_since(listed_on.get(code[:2]), run.day_files[code])
        found[code] = Security(code, name, kind, "vipdoc/lday", is_listed)
    for place, count in left.items():
        run.load.reporter.line(
            f"codes: {count:,} instruments of {place} are of no kind in use: left"
        )
    for path in run.folder.strays[:STRAYS_NAMED]:
        run.load.warn(f"{path} is no code of the exchange whose folder it is in: left")
    return found


def _trades_since(day: date | None, file: Path) -> bool:
    """Check for bars since `day`, when a list without this code was written.

    True without a list, as nothing says that the code is no longer listed.
    """
    return day is None or (last_day(file) or date.min) >= day


def _of_folder_alone(run: Context, found: Mapping[str, Security]) -> Outcome:
    if not found:
        assert run.folder is not None
        return Outcome(
            KEY,
            failure=f"{run.folder.root} names no code: neither a list nor a file of day bars; "
            "download day bars in the client, then run again",
        )
    return Outcome(KEY, records_of(list(found.values()), run.clock()), cursor=run.today)


def _listed_no_more(codes: Sequence[str]) -> str:
    return f"{len(codes)} codes are listed no more: {', '.join(codes[:5])}"


async def listed(
    client: TdxClient, indices: Sequence[str], before: Mapping[str, Security]
) -> list[Security]:
    """Return the service's listed codes and the configured indices.

    Raises UpstreamError.
    """
    stocks = await client.codes()
    # A service may have no funds, but it does not lose all the funds that it had.
    had_funds = any(s.instrument_type == "fund" and s.is_listed for s in before.values())
    funds = await client.etfs(expect_rows=had_funds)
    found = {index: Security(index, index, "index", "settings") for index in indices}
    found |= {x.code: Security(x.code, x.name, "fund", "/api/etf") for x in funds}
    found |= {x.code: Security(x.code, x.name, "stock", "/api/codes") for x in stocks}
    return [found[code] for code in sorted(found)]


def known(conn: psycopg.Connection) -> dict[str, Security]:
    """Return the landed securities by code."""
    rows = conn.execute(
        "select code, name, instrument_type, source_route, is_listed from raw_tdx.security"
    )
    return {row[0]: Security(*row) for row in rows}


def merge(found: Sequence[Security], before: Mapping[str, Security]) -> list[Security]:
    """Add the securities that vanished, marked as not listed.

    Raises UpstreamError if the list shrank more than a market does. Nothing lands then.
    """
    listed = {s.code for s in before.values() if s.is_listed and s.instrument_type != "index"}
    present = {s.code for s in found if s.instrument_type != "index"}
    if not present:
        raise UpstreamError("the service's code list is empty", hint=_RESTART)
    counts, known_counts = (Counter(code[:2] for code in codes) for codes in (present, listed))
    for exchange, count in sorted(known_counts.items()):
        if not counts[exchange]:
            raise UpstreamError(
                f"the code list has no code of {exchange}, where {count} were known", hint=_RESTART
            )
    kept = len(listed & present)
    if kept < KEPT_SHARE * len(listed):
        raise UpstreamError(
            f"the code list has {kept} of the {len(listed)} codes known before: refused",
            hint=_RESTART,
        )
    named = {s.code for s in found}
    vanished = [
        replace(s, is_listed=False) for code, s in sorted(before.items()) if code not in named
    ]
    return [*found, *vanished]


_RESTART = "the service may have started without its upstream: restart it, then run again"


def records_of(rows: Sequence[Security], fetched_at: datetime) -> list[dict[str, Any]]:
    """Turn securities into records of the landed table."""
    lineage = {"fetched_at": fetched_at, "is_final": True}
    return [asdict(s) | {"exchange": s.code[:2]} | lineage for s in rows]


DATASET = Dataset("codes", SECURITY, "/api/codes", fetch, records, only_key=KEY)
