"""Dataset `open_interest`: positions at the end of a session, requested on the next morning.

Keys are `AAPL 2026-11-19`; beside the rows lands the result of the attempt. The exchange publishes
at about 06:30; before, the gateway shows those of the session before. A value lands under the
session that it belongs to by the time at which it was read. Where a whole chain is unchanged (rule:
loaders.ib.capture.open_interest_date) it is the older session's still: nothing is confirmed, the
attempt is `stale`, and after the hour of publication it fails. Where too many traded contracts are
unchanged, their values and the attempt are provisional until all values are the same for SETTLED,
or the session is over whose morning it was: the next attempt, whenever it comes, lands them as
final. What is final is not doubted again.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from operator import itemgetter
from typing import Any

from loaders.engine.outcome import Outcome
from loaders.engine.source import Keys
from loaders.ib.capture.open_interest_date import asof_date, compare_sessions
from loaders.ib.capture.rounds import split_batches
from loaders.ib.client.error_codes import GATEWAY_GONE
from loaders.ib.client.values import OpenInterest, OptionContract
from loaders.ib.context import Context, Dataset
from loaders.ib.planning.estimate import INTEREST_BATCH
from loaders.ib.queries import landed
from loaders.ib.settings import OPEN_INTEREST_PUBLISHED_AT
from loaders.ib.slots import (
    date_in_new_york,
    parse_point,
    parse_symbol,
    session_after,
    session_before,
)
from loaders.ib.tables import ENRICHMENT, OPEN_INTEREST
from quotemill.errors import UpstreamError

SETTLED = timedelta(minutes=30)  # both figures are shown for some 25 minutes
MORNINGS = 3  # failed ones that are worth an alarm
FAILED, STALE = "oi_enrichment_failed", "oi_stale"
ROUTE = "open_interest"
Readings = dict[int, tuple[int, datetime]]  # value, and since when it was so, by contract


def fetch(ctx: Context, keys: Sequence[str]) -> Iterator[Outcome]:
    for key in keys:
        if ctx.load.cancelling():
            return
        yield _attempt(ctx, key, parse_symbol(key), date.fromisoformat(parse_point(key)))


def _attempt(ctx: Context, key: str, symbol: str, day: date) -> Outcome:
    chain = ctx.chains(day, [symbol]).get(symbol)
    if chain is None:
        why = f"no contracts of {symbol} on {day}"
        is_manual = ctx.load.request.options["pass"] == "manual"
        return Outcome(key, failure=why) if is_manual else Outcome(key, skipped=why)
    today = ctx.timetable.today
    eligible = [c for c in chain.contracts if c.expiry >= today]
    answers = _request(ctx, eligible)
    values = {a.contract.conid: a for a in answers if a.open_interest is not None}
    known = ctx.ask(lambda conn: landed.read_open_interest(conn, [c.conid for c in eligible]))
    now = ctx.now()
    by_clock = asof_date(now, OPEN_INTEREST_PUBLISHED_AT)
    shown = compare_sessions(
        {conid: a.open_interest for conid, a in values.items() if a.open_interest is not None},
        known,
        by_clock=by_clock,
        traded=lambda since: ctx.ask(
            lambda conn: landed.read_traded(conn, symbol, since, by_clock)
        ),
    )
    older, asof = shown.older, shown.older or by_clock
    is_over = now >= session_after(by_clock).close_at
    answered = set(values)
    doubtful, readings = dict[int, OpenInterest](), Readings()
    if not is_over and (doubted := _drop_older(values, known, shown.doubtful, by_clock)):
        readings = ctx.ask(lambda conn: landed.read_readings(conn, list(values), by_clock))
        if not _is_settled(values, readings, now=now):
            doubtful = {conid: values.pop(conid) for conid in doubted}
    rows, counts = _make_rows(ctx, values, known, asof=asof, day=day, is_older=older is not None)
    rows += [
        _make_row(ctx, answer, day, day) | {"is_final": False}
        for conid, answer in doubtful.items()
        # those of another day than the requested one are left to its own request
        if by_clock == day and (conid not in readings or readings[conid][0] != answer.open_interest)
    ]
    rows += _end_doubt(
        ctx, symbol, rows, by_clock if is_over else session_before(by_clock).trade_date
    )
    confirmed = {conid for conid, days in known.items() if day in days}
    confirmed |= set(values) if asof == day else set()
    lacking = len(eligible) - len(confirmed & {c.conid for c in eligible})
    # the exchange may publish nothing of a contract without any open interest, every morning
    is_enough = lacking <= len(eligible) * (1 - ctx.settings.min_oi_share)
    # before it is published, what is missing is not failed but pending
    status = "complete" if is_enough else "stale" if asof < day and values else "failed"
    if doubtful and by_clock == day:
        status = "provisional"
    row = {
        "trade_date": day,
        "symbol": symbol,
        "attempted_at": ctx.now(),
        "pass": ctx.load.request.options["pass"],
        **counts,
        "eligible": len(eligible),
        "expired": len(chain.contracts) - len(eligible),
        "failed": len(eligible) - len(answered),
        "stale": len(answered - confirmed),
        "status": status,
        "source_route": ROUTE,
    } | ctx.lineage
    return Outcome(
        key,
        rows,
        cursor=day if status == "complete" else None,
        cursor_key=symbol,
        failure=_describe_failure(
            ctx, row, answers, by_clock=by_clock, older=older, lacking=lacking
        ),
        beside=[row],
    )


def _drop_older(
    values: dict[int, OpenInterest],
    known: Mapping[int, Mapping[date, int]],
    doubtful: Iterable[int],
    day: date,
) -> list[int]:
    """Those doubtful contracts that have no final value of the session yet.

    Of the others a value that is not the final one is dropped: it is that of the session before.
    """
    doubted = []
    for conid in doubtful:
        final = known[conid].get(day)
        if final is None:
            doubted.append(conid)
        elif final != values[conid].open_interest:
            del values[conid]
    return doubted


def _is_settled(values: Mapping[int, OpenInterest], readings: Readings, *, now: datetime) -> bool:
    """Whether values that may be of two sessions have been the same for long."""
    return all(
        conid in readings
        and readings[conid][0] == answer.open_interest
        and readings[conid][1] <= now - SETTLED
        for conid, answer in values.items()
    )


def _end_doubt(
    ctx: Context, symbol: str, rows: Sequence[Mapping[str, Any]], until: date
) -> list[dict[str, Any]]:
    """Final rows of what is provisional of sessions until a day, where `rows` has no newer ones."""
    newer = {(row["conid"], row["oi_asof_date"]) for row in rows}
    provisional = ctx.ask(lambda conn: landed.read_provisional(conn, symbol, until))
    return [
        row | ctx.lineage for row in provisional if (row["conid"], row["oi_asof_date"]) not in newer
    ]


def _request(ctx: Context, contracts: Sequence[OptionContract]) -> list[OpenInterest]:
    lines = ctx.settings.usable_lines
    answers: list[OpenInterest] = []
    for batch in split_batches(contracts, min(INTEREST_BATCH, lines)):
        if ctx.gone is not None or ctx.load.cancelling():
            break
        ctx.oi_bucket.take()
        try:
            came = ctx.gateway.open_interest(batch, lines=lines)
            lost = [a.contract for a in came if a.failure and a.failure.error_type == GATEWAY_GONE]
            answers += [answer for answer in came if answer.contract not in lost]
            answers += ctx.gateway.open_interest(lost, lines=lines) if lost else []
        except UpstreamError as error:
            ctx.gone = error
    return answers


def _make_rows(
    ctx: Context,
    values: Mapping[int, OpenInterest],
    known: Mapping[int, Mapping[date, int]],
    *,
    asof: date,
    day: date,
    is_older: bool,
) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Rows of an as-of date, and how many are filled, the same and changed.

    Where older values are shown, the few that changed belong to no known day: they do not land.
    """
    rows, counts = [], {"filled": 0, "same": 0, "changed": 0}
    for conid, answer in values.items():
        old = known.get(conid, {}).get(asof)
        same = old == answer.open_interest
        counts["filled" if old is None else "same" if same else "changed"] += 1
        if same or (is_older and old is not None):
            continue
        rows.append(_make_row(ctx, answer, asof, day))
    return rows, counts


def _make_row(ctx: Context, answer: OpenInterest, asof: date, day: date) -> dict[str, Any]:
    return {
        "conid": answer.contract.conid,
        "oi_asof_date": asof,
        "symbol": answer.contract.symbol,
        "trade_date": day,
        "open_interest": answer.open_interest,
        "captured_at": answer.captured_at,
        "ingest_id": ctx.ingest_id,
        "source_route": ROUTE,
    } | ctx.lineage


def _describe_failure(
    ctx: Context,
    attempt: Mapping[str, Any],
    answers: Sequence[OpenInterest],
    *,
    by_clock: date,
    older: date | None,
    lacking: int,
) -> str | None:
    """Why an attempt failed; None where it is complete or the values are not published yet.

    `by_clock` is the session whose open interest is published by now, `older` the one whose values
    are shown instead; `lacking` contracts have no value of the session.
    """
    symbol, day, status = attempt["symbol"], attempt["trade_date"], attempt["status"]
    none = f"{lacking:,} of {attempt['eligible']:,} contracts have no open interest"
    if older and status == "stale" and by_clock >= day:
        count = attempt["eligible"] - attempt["failed"]
        why = (
            f"{STALE}: {count:,} contracts still have the open interest of {older}, so "
            f"the open interest of {day} is not confirmed"
        )
        return _raise_alarm(ctx, symbol, why)
    if status == "complete":
        if lacking:
            ctx.load.log("info", f"{symbol} {day}: {none}", {})
        return None
    if status in ("stale", "provisional"):
        why = "not published yet" if status == "stale" else "from two sessions"
        text = f"{symbol} {day}: the open interest is {why}: request it again in half an hour"
        if attempt["pass"] == "manual":
            ctx.load.warn(text)
        else:  # the next pass does
            ctx.load.log("info", text, {})
        return None
    why = next((a.failure.error_message for a in answers if a.failure), "no value came")
    if ctx.gone:
        why = str(ctx.gone)
    elif by_clock > day:
        why = (
            f"only the open interest of {by_clock} is shown now, an earlier session is no "
            "longer available"
        )
    return _raise_alarm(ctx, symbol, f"{none} of {day}: {why}")


def _raise_alarm(ctx: Context, symbol: str, text: str) -> str:
    """The failure, as an alarm after some failed mornings in a row."""
    return f"{FAILED}: {text}" if _count_failed_mornings(ctx, symbol) >= MORNINGS - 1 else text


def _count_failed_mornings(ctx: Context, symbol: str) -> int:
    """How many mornings before this one failed, the newest in a row."""
    today = ctx.timetable.today
    since = today - timedelta(days=14)
    attempts = ctx.ask(lambda conn: landed.read_enrichments(conn, [symbol], since))
    by_morning: dict[date, set[str]] = {}
    for _, _, at, status, name in attempts:
        # old values confirm nothing, and before they can be new that is no failure
        is_failed = status == "stale" and name in ("confirm", "late")
        by_morning.setdefault(date_in_new_york(at), set()).add("failed" if is_failed else status)
    mornings = [by_morning[m] for m in sorted(by_morning, reverse=True) if m < today]
    failed = 0
    for statuses in mornings:
        if "complete" in statuses or "failed" not in statuses:
            break
        failed += 1
    return failed


DATASET = Dataset(
    "open_interest",
    OPEN_INTEREST,
    ROUTE,
    fetch,
    beside=ENRICHMENT,
    keys=Keys(row_key=itemgetter("symbol")),
    recurs=False,
)
