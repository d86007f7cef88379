"""A capture of a slot or of the close as outcomes: better rows, the queue, the tally."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from loaders.engine.outcome import Outcome
from loaders.ib.capture import flags
from loaders.ib.capture.better_row import is_better
from loaders.ib.capture.flags import INCOMPLETE, is_silent, may_improve
from loaders.ib.capture.rounds import QUEUED, Capture
from loaders.ib.capture.rows import CLOSE, RECAPTURE, Tally, make_row
from loaders.ib.client.values import OptionContract
from loaders.ib.context import Context
from loaders.ib.queries import landed
from loaders.ib.queries.landed import Chain, Queued
from loaders.ib.queries.silent_contracts import KINDS, read_silent
from loaders.ib.slots import Session, Slot, make_key, require_session

ROUTE = "market_data"


@dataclass(frozen=True)
class Target:
    """What is captured: a slot or a session's close, into a table, as a kind of run."""

    point: Slot | Session
    table: str
    run_type: str
    market_data_type: int
    deadline: datetime

    @property
    def trade_date(self) -> date:
        return self.point.trade_date

    @property
    def at(self) -> datetime:
        return self.point.at if isinstance(self.point, Slot) else self.point.close_at

    @property
    def cursor(self) -> str:
        return self.point.name if isinstance(self.point, Slot) else f"{self.point.trade_date}"


def capture(
    ctx: Context,
    target: Target,
    *,
    chains: Mapping[str, Chain],
    symbols: Sequence[str],
    contracts: Mapping[str, Sequence[OptionContract]],
    settled: Collection[int] = (),
) -> Iterator[Outcome]:
    """Capture the contracts of some symbols together; an outcome of each symbol, in order.

    Contracts that are `settled` have their row: they are counted and not requested.
    """
    started_at = ctx.now()
    ctx.take_pacing_events()  # those of earlier steps
    silent = ctx.ask(lambda conn: read_silent(conn, target.trade_date, symbols))
    wanted = [c for symbol in symbols for c in contracts.get(symbol, ()) if c.conid not in settled]
    # a contract that never ticks holds its line to the end: the others come first
    result = ctx.capturer(target.market_data_type, target.deadline).capture(
        sorted(wanted, key=lambda c: c.conid in silent)
    )
    ctx.gone = ctx.gone or result.gone
    events, finished_at = ctx.take_pacing_events(), ctx.now()
    symbol_by_conid = {c.conid: symbol for symbol, listed in contracts.items() for c in listed}
    pacing = Counter(symbol_by_conid.get(event.conid or 0, symbols[0]) for event in events)
    for symbol in symbols:
        chosen = contracts.get(symbol, ())
        key = make_key(symbol, target.point)
        requested = [c for c in chosen if c.conid not in settled]
        if any(c.conid not in result.quotes for c in requested):  # stopped before it was done
            return
        rows = _make_rows(ctx, target, chains.get(symbol), requested, result, silent)
        stored = _read_stored(ctx, target, symbol)
        better = [row for row in rows if is_better(row, stored.get(row["conid"]))]
        after = stored | {row["conid"]: row for row in better}
        tally = Tally(len(chosen))
        for contract in chosen:
            tally.count(after[contract.conid])
        # queued contracts may be of a set that another one has replaced since
        is_idle = target.run_type == RECAPTURE and not chosen
        failure = None
        if not is_idle:
            failure = _describe_failure(ctx, symbol, tally, [after[c.conid] for c in chosen])
            ctx.slot_runs[key] = {
                "trade_date": target.trade_date,
                "sample_time": target.at,
                "symbol": symbol,
                "ingest_run_type": target.run_type,
                **vars(tally),
                "pacing_events": pacing[symbol],
                "attempts": max(result.attempts, 1),  # an earlier load requested what is settled
                "started_at": started_at,
                "finished_at": finished_at,
                "status": tally.status,
                "source_route": ROUTE,
            } | ctx.lineage
        queue = []
        if target.run_type != CLOSE:
            queue = _make_queue(ctx, target, symbol, chosen, after, result.unasked)
        yield Outcome(
            key,
            [row | {"source_route": ROUTE, **ctx.lineage} for row in better],
            cursor=None if target.run_type == RECAPTURE or not chosen else target.cursor,
            cursor_key=symbol,
            failure=failure,
            beside=queue,
        )


def _read_stored(ctx: Context, target: Target, symbol: str) -> dict[int, dict[str, Any]]:
    return ctx.ask(
        lambda conn: landed.read_captures(
            conn, target.table, target.trade_date, target.at, [symbol]
        )
    )


def _make_rows(
    ctx: Context,
    target: Target,
    chain: Chain | None,
    contracts: Sequence[OptionContract],
    result: Capture,
    silent: Collection[int],
) -> list[dict[str, Any]]:
    is_guess = require_session(target.trade_date).is_guess
    stale = chain.stale_conids if chain else frozenset()
    rows = []
    for contract in contracts:
        quote = result.quotes[contract.conid]
        is_silence = quote.failure is not None and quote.failure.error_type in KINDS
        raised = {
            flags.GUESSED_CALENDAR: is_guess,
            flags.STALE_SET: contract.conid in stale,
            flags.SPENT: contract.conid in result.spent,
            flags.SILENT: is_silence and contract.conid in silent,
        }
        rows.append(
            make_row(
                quote,
                target.point,
                provenance=ctx.provenance,
                run_type=target.run_type,
                known_flags=frozenset(flag for flag, is_raised in raised.items() if is_raised),
            )
        )
    return rows


def _make_queue(
    ctx: Context,
    target: Target,
    symbol: str,
    contracts: Sequence[OptionContract],
    after: Mapping[int, Mapping[str, Any]],
    unasked: Collection[int],
) -> list[dict[str, Any]]:
    """Rows of the re-capture queue of a symbol.

    A contract that lacks a quote waits; one that waited and has one is done; one that never ticks,
    or has left the session's set, is given up. One whose answer was not complete waits once. Where
    the time was over before a contract's turn, that was no attempt.
    """
    day, now = target.trade_date, ctx.now()
    waiting = {
        q.conid: q for q in ctx.ask(lambda conn: landed.read_queue(conn, day, target.at, symbol))
    }
    rows = []
    for contract in contracts:
        row, before = after[contract.conid], waiting.get(contract.conid)
        lacks = row["snapshot_error"] and row["error_type"] in QUEUED and not is_silent(row)
        lacks = lacks or (before is None and not row["snapshot_error"] and may_improve(row))
        if not lacks and before is None:
            continue
        queued = Queued(
            sample_time=target.at,
            conid=contract.conid,
            symbol=symbol,
            reason=row["error_type"] or (before.reason if before else INCOMPLETE),
            attempts=(before.attempts if before else 0) + (contract.conid not in unasked),
            queued_at=before.queued_at if before else now,
            next_try_at=now + timedelta(seconds=ctx.retry_delay),
        )
        state = "queued" if lacks else "expired" if is_silent(row) else "done"
        rows.append(make_queue_row(ctx, day, queued, state))
    if target.run_type == RECAPTURE:
        requested = {contract.conid for contract in contracts}
        rows += [
            make_queue_row(ctx, day, queued, "expired")
            for queued in waiting.values()
            if queued.conid not in requested
        ]
    return rows


def make_queue_row(ctx: Context, day: date, queued: Queued, state: str) -> dict[str, Any]:
    """A row of the queue; `expired` gives up what waited."""
    values = {"trade_date": day, "state": state, "source_route": ROUTE}
    return vars(queued) | values | ctx.lineage


def _describe_failure(
    ctx: Context, symbol: str, tally: Tally, rows: Sequence[Mapping[str, Any]]
) -> str | None:
    if not tally.planned:
        return f"no contracts of {symbol}; fix: `loaders run ib --task discover`"
    if not tally.errors:
        return None
    if ctx.gone is not None:
        return str(ctx.gone)
    kinds = Counter(
        row["error_type"]
        for row in rows
        if row["error_type"] and row["snapshot_error"] and not is_silent(row)
    )
    why = f": {kinds.most_common(1)[0][0]}" if kinds else ""
    return f"{tally.errors:,} of {tally.planned:,} contracts have no quote{why}"
