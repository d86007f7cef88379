"""Dataset `codes`: securities of the service and of the desktop client.

Stocks come from /api/codes, funds from /api/etf. No list names an index, so the configured indices
are added. The service's list is complete at its time, so codes that it lacks are no longer listed.
A list that lacks many codes of an exchange (loaders.tdx.losses) is a fault of the service, which
leaves out an exchange whose list fails.

The client's folder adds the codes in its lists and those with day bars, of the kinds that
quotemill.instrument_ranges knows; none whose file has no traded share. The folder may be
incomplete: a smaller folder delists nothing. A code that has day bars and is missing from the list
of its exchange is no longer listed, unless it has bars since that list was written. Without a list
that can be read, or with one that lacks many codes, an exchange's codes stay listed or not as they
were.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import date, datetime
from typing import Any

import psycopg

from loaders.engine.outcome import Outcome
from loaders.engine.source import Keys
from loaders.landing.rejects import Rejected
from loaders.tdx.client.answers import EXCHANGES
from loaders.tdx.client.client import TdxClient
from loaders.tdx.context import Context, Dataset, Security
from loaders.tdx.files import tnf
from loaders.tdx.files.folder import FOLDERS, HQ_CACHE
from loaders.tdx.files.vipdoc import has_trade, last_day
from loaders.tdx.files.written import State
from loaders.tdx.left_out import LeftOut, find_traded
from loaders.tdx.losses import Loss, judge_loss
from loaders.tdx.tables import SECURITY
from quotemill.errors import DataQualityError
from quotemill.instrument_ranges import (
    classify_code,
    is_other_kind,
    price_decimals,
)

NAME = "codes"
KEY = "all"


def fetch(ctx: Context, _: Sequence[str]) -> Iterator[Outcome]:
    """Yield one outcome: listed and vanished codes; unreadable or lost files are a failure."""
    fault = ctx.folder.fault if ctx.folder else None
    counts, losses = count_files(ctx, ctx.load.cursors(SECURITY.name).get(KEY, ""))
    failures = [fault, *losses, *ctx.package_failures]
    for outcome in _fetched(ctx):
        cursor = outcome.cursor and " ".join(map(str, (outcome.cursor, *counts)))
        yield replace(_add_failures(outcome, failures), cursor=cursor)


def count_files(ctx: Context, cursor: str) -> tuple[list[int], list[str]]:
    """Count the folder's files of bars by exchange and period, for the end of the cursor.

    Also returns a failure for each of these that lacks too many, which keeps its old count. Nothing
    without the client's folder.

    cursor: of the last load
    """
    if ctx.folder is None:
        return [], []
    places = [(exchange, period) for exchange in EXCHANGES for period in FOLDERS]
    before = [int(count) for count in cursor.split(" ")[1:]] or [0] * len(places)
    counts, losses = [], []
    for (exchange, period), had in zip(places, before, strict=True):
        count = sum(code.startswith(exchange) for code in ctx.folder.bars(period))
        place = f"vipdoc/{exchange}/{FOLDERS[period]}"
        if count < had and ctx.folder.hides(place):
            counts.append(had)
            continue
        loss = Loss(place, had - count, had, "files of the last load")
        refusal = judge_loss(ctx.load, NAME, loss, advice=". Check that the share is mounted")
        losses += [refusal] if refusal else []
        counts.append(had if refusal else count)
    return counts, losses


def _fetched(ctx: Context) -> Iterator[Outcome]:
    before = ctx.ask(known)
    in_folder, faults, untraded = read_folder(ctx, before)
    if ctx.service is None:
        outcome = replace(_load_folder_alone(ctx, in_folder), rejected=untraded)
        yield _add_failures(outcome, faults)
        return

    async def ask() -> Outcome:
        return Outcome(KEY, await listed(ctx.client, ctx.settings.indices))

    [outcome] = ctx.only(KEY, ask())
    if outcome.rows is not None:
        outcome = _take_list(ctx, outcome.rows, in_folder, before)
    if outcome.rows is None and in_folder and ctx.mode != "realtime":
        outcome = _without_service(ctx, outcome, in_folder, before)
    yield _add_failures(replace(outcome, rejected=untraded), faults)


def _take_list(
    ctx: Context,
    served: Sequence[Security],
    in_folder: Mapping[str, Security],
    before: Mapping[str, Security],
) -> Outcome:
    """The service's list with the folder's codes and the vanished ones, or its refusal."""
    # The service cannot lose a code that only the folder named.
    served_before = {c: s for c, s in before.items() if s.is_from_service}
    named = {s.code for s in served}
    lost = served_before.keys() - named
    losses = [_find_loss(f"the service's list of {e}", e, lost, served_before) for e in EXCHANGES]
    fix = ctx.settings.choose_fix(
        service="The service may have started without its upstream: restart it, then run again"
    )
    if refusal := judge_loss(ctx.load, NAME, *losses, advice=f". {fix}"):
        return Outcome(KEY, failure=refusal)
    merged = merge(served, served_before)
    merged += [s for s in in_folder.values() if s.code not in named]
    return Outcome(KEY, build_records(merged, ctx.clock()), cursor=ctx.today)


def _find_loss(
    name: str, exchange: str, lost: Collection[str], before: Mapping[str, Security]
) -> Loss:
    """What a list lacks of the listed codes of an exchange."""
    listed = {
        code
        for code, s in before.items()
        if s.is_listed and s.instrument_type != "index" and code.startswith(exchange)
    }
    lacks = listed.intersection(lost)
    return Loss(name, len(lacks), len(listed), "listed codes", min(lacks, default=""))


def _add_failures(outcome: Outcome, reasons: Iterable[str | None]) -> Outcome:
    return replace(outcome, failure="; ".join(filter(None, (outcome.failure, *reasons))) or None)


def _without_service(
    ctx: Context, failed: Outcome, in_folder: Mapping[str, Security], before: Mapping[str, Security]
) -> Outcome:
    """Take the folder's new codes; if the service is gone, load from files alone."""
    failure = failed.failure
    if failed.gone is not None:
        ctx.service = None
        hint = f" ({failed.gone.hint})" if failed.gone.hint else ""
        failure = f"{failure}. Only the contents of the client's folder are loaded{hint}"
    new = [security for code, security in in_folder.items() if code not in before]
    return Outcome(KEY, build_records(new, ctx.clock()) if new else None, failure=failure)


def read_folder(
    ctx: Context, before: Mapping[str, Security]
) -> tuple[dict[str, Security], list[str], list[Rejected]]:
    """Map each code of the client's lists and day bars to its security.

    Also returns the lists' faults and the codes without a traded share. Empty without the client's
    folder. What is of no modelled kind, of no known range, or without a traded share is counted,
    named and left out.
    """
    if ctx.folder is None:
        return {}, [], []
    securities: dict[str, Security] = {}
    listed_on, left = dict[str, date](), LeftOut(ctx)
    read: list[str] = []
    unreadable: list[str] = []
    for exchange in EXCHANGES:
        path = tnf.find_list(ctx.folder, exchange)
        if path is None:
            continue
        file = path.name.lower()
        try:
            listed_on[exchange] = min(State.read_state(path).day, ctx.today)
            names = tnf.read_names(path, exchange)
            read.append(file)
        except DataQualityError as error:
            listed_on.pop(exchange, None)
            fix = ctx.settings.choose_fix(client="download it again in the client")
            fault = (
                f"{error}: {fix}. Until then, the listed codes "
                f"of {exchange} do not change, and new codes come from file names"
            )
            if ctx.service is None:
                unreadable.append(fault)
            else:  # whose lists are whole
                ctx.load.warn(fault)
            continue
        for code, name in names.items():
            left.names[code] = name
            kind = classify_code(code)
            if kind is None:
                left.add_kind(file, code)
            elif kind != "index" or code in ctx.day_files:
                securities[code] = Security(code, name or code, kind, f"{HQ_CACHE}/{file}")
    traded = ctx.ask(lambda conn: find_traded(conn, ctx.day_files))
    left.untraded = {
        code
        for code, path in ctx.day_files.items()
        if classify_code(code) in ("stock", "fund") and code not in traded and not has_trade(path)
    }
    securities = {code: s for code, s in securities.items() if code not in left.untraded}
    unnamed = sorted(ctx.day_files.keys() - securities.keys() - left.untraded)
    delisted, losses = list_delisted(ctx, unnamed, listed_on, before)
    for code in unnamed:
        kind = classify_code(code)
        if kind is None:
            if code not in left.names:
                left.add_kind("file names", code)
            continue
        stored = before.get(code, Security(code, code, kind, ""))
        is_listed = stored.is_listed if code[:2] not in listed_on else code not in delisted
        is_listed = is_listed or kind == "index"
        securities[code] = Security(code, stored.name, kind, "vipdoc/lday", is_listed)
    if read:
        ctx.load.reporter.line(f"codes: lists {', '.join(read)}")
    left.say()
    return securities, [*unreadable, *losses], left.list_untraded()


def list_delisted(
    ctx: Context,
    unnamed: Iterable[str],
    listed_on: Mapping[str, date],
    before: Mapping[str, Security],
) -> tuple[set[str], list[str]]:
    """The codes that are no longer listed, and a failure for each list that lacks too many.

    unnamed: codes with day bars that no list has
    listed_on: the day on which the list of each exchange was written
    """
    delisted = {
        code
        for code in unnamed
        if code[:2] in listed_on
        and (last_day(ctx.day_files[code], ctx.clock()) or date.min) < listed_on[code[:2]]
    }
    failures = []
    for exchange, day in listed_on.items():
        loss = _find_loss(f"the client's list of {exchange} of {day}", exchange, delisted, before)
        if refusal := judge_loss(ctx.load, NAME, loss):
            failures.append(refusal)
            delisted -= {c for c, s in before.items() if s.is_listed and c.startswith(exchange)}
    return delisted, failures


def _load_folder_alone(ctx: Context, securities: Mapping[str, Security]) -> Outcome:
    if not securities:
        assert ctx.folder is not None
        lacks = (
            "has no code that trades"
            if ctx.day_files
            else "has neither a list of codes nor a file of day bars"
        )
        fix = ctx.settings.choose_fix(client="download day bars in the client, then run again")
        return Outcome(KEY, failure=f"{ctx.folder.root} {lacks}: {fix}")
    return Outcome(KEY, build_records(list(securities.values()), ctx.clock()), cursor=ctx.today)


async def listed(client: TdxClient, indices: Sequence[str]) -> list[Security]:
    """Return the service's codes and the configured indices. Raises UpstreamError."""
    stocks = await client.codes()
    funds = await client.etfs(expect_rows=False)  # a service may have none
    securities = {index: Security(index, index, "index", "settings") for index in indices}
    securities |= {x.code: Security(x.code, x.name, "fund", "/api/etf") for x in funds}
    securities |= {x.code: Security(x.code, x.name, "stock", "/api/codes") for x in stocks}
    return [securities[code] for code in sorted(securities)]


def known(conn: psycopg.Connection) -> dict[str, Security]:
    """Return the landed securities by code, without those that are none by their range."""
    rows = conn.execute(
        "select code, name, instrument_type, source_route, is_listed from raw_tdx.security"
    )
    securities = (Security(*row) for row in rows)
    return {
        s.code: s for s in securities if s.instrument_type != "fund" or not is_other_kind(s.code)
    }


def merge(current: Sequence[Security], before: Mapping[str, Security]) -> list[Security]:
    """Add vanished securities as not listed."""
    named = {s.code for s in current}
    vanished = [
        replace(s, is_listed=False) for code, s in sorted(before.items()) if code not in named
    ]
    return [*current, *vanished]


def build_records(rows: Sequence[Security], fetched_at: datetime) -> list[dict[str, Any]]:
    """Turn securities into records of the landed table."""
    lineage = {"fetched_at": fetched_at, "is_final": True}
    return [
        asdict(s)
        | {"exchange": s.code[:2], "price_decimals": price_decimals(s.code, s.instrument_type)}
        | lineage
        for s in rows
    ]


DATASET = Dataset(NAME, SECURITY, "/api/codes", fetch, keys=Keys(only=KEY))
