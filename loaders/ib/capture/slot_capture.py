"""One capture of a slot, or of the close, as rows: the better ones, what is to be tried again, the tally."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from loaders.engine.outcome import Outcome
from loaders.ib.capture import flags as quality
from loaders.ib.capture import silent_contracts
from loaders.ib.capture.batches import QUEUED, Captured
from loaders.ib.capture.better_row import is_better
from loaders.ib.capture.flags import is_silent
from loaders.ib.capture.rows import CLOSE, RECAPTURE, Tally, row_of, slot_run_row
from loaders.ib.client.gateway import OptionContract
from loaders.ib.context import Context
from loaders.ib.planning import stored
from loaders.ib.planning.stored import Chain, Queued
from loaders.ib.slots import Session, Slot

ROUTE = "market_data"


@dataclass(frozen=True)
class Moment:
    """What is captured: a slot or a session's close, into which table, as which kind of run."""

    of: Slot | Session
    table: str
    run_type: str
    wanted: int  # market data type
    deadline: datetime

    @property
    def at(self) -> datetime:
        return self.of.at if isinstance(self.of, Slot) else self.of.close_at

    @property
    def cursor(self) -> str:
        return self.of.name if isinstance(self.of, Slot) else f"{self.of.trade_date}"


def key_of(symbol: str, moment: Slot | Session) -> str:
    """What a task calls a symbol at a moment: `BRK B 2026-11-19T15:00Z`, of the close its day."""
    return f"{symbol} {moment.name if isinstance(moment, Slot) else moment.trade_date}"


def symbol_of(key: str) -> str:
    return key.rpartition(" ")[0]


def moment_of(key: str) -> str:
    return key.rpartition(" ")[2]


def captured(
    run: Context,
    moment: Moment,
    chains: Mapping[str, Chain],
    symbols: Sequence[str],
    contracts: Mapping[str, Sequence[OptionContract]],
    settled: Collection[int] = (),
) -> Iterator[Outcome]:
    """Capture the contracts of some symbols together; the outcome of each, in order. Those that are
    `settled` have their row: they are counted and not asked."""
    started_at = run.now()
    # what earlier steps were told is theirs
    run.pacing_events()
    capturer, day = run.capturer(moment.wanted, moment.deadline), moment.of.trade_date
    silent = run.ask(lambda conn: silent_contracts.silent(conn, day, symbols))
    asked = [c for symbol in symbols for c in contracts.get(symbol, ()) if c.conid not in settled]
    # who never ticks holds its line to the end: the others come first
    found = capturer.capture(sorted(asked, key=lambda c: c.conid in silent))
    run.gone = run.gone or found.gone
    told, finished_at = run.pacing_events(), run.now()
    by_conid = {c.conid: symbol for symbol, of in contracts.items() for c in of}
    pacing = Counter(by_conid.get(event.conid or 0, symbols[0]) for event in told)
    for symbol in symbols:
        chosen = contracts.get(symbol, ())
        key = key_of(symbol, moment.of)
        of_symbol = [c for c in chosen if c.conid not in settled]
        if any(c.conid not in found.quotes for c in of_symbol):  # stopped before it was done
            return
        rows = _rows(run, moment, chains.get(symbol), of_symbol, found, silent)
        kept = run.ask(_stored(moment, [symbol]))
        better = [row for row in rows if is_better(row, kept.get(row["conid"]))]
        after = kept | {row["conid"]: row for row in better}
        tally = Tally(len(chosen))
        for contract in chosen:
            tally.count(after[contract.conid])
        # what waited may be of a set that another one has replaced since
        is_idle = moment.run_type == RECAPTURE and not chosen
        if not is_idle:
            run.slot_runs[key] = slot_run_row(
                moment.of,
                symbol,
                moment.run_type,
                tally,
                pacing_events=pacing[symbol],
                attempts=max(found.attempts, 1),  # what is settled was asked for, by a load before
                started_at=started_at,
                finished_at=finished_at,
            ) | {"source_route": ROUTE, **run.lineage}
        queue = (
            []
            if moment.run_type == CLOSE
            else _queue(run, moment, symbol, chosen, after, found.unasked)
        )
        yield Outcome(
            key,
            [row | {"source_route": ROUTE, **run.lineage} for row in better],
            cursor=None if moment.run_type == RECAPTURE or not chosen else moment.cursor,
            cursor_key=symbol,
            failure=None
            if is_idle
            else _failure(run, symbol, tally, [after[c.conid] for c in chosen]),
            beside=queue,
        )


def _rows(
    run: Context,
    moment: Moment,
    chain: Chain | None,
    chosen: Sequence[OptionContract],
    found: Captured,
    silent: Collection[int],
) -> list[dict[str, Any]]:
    guess = isinstance(moment.of, Session) and moment.of.is_guess
    stale = chain.stale_conids if chain else frozenset()
    rows = []
    for contract in chosen:
        flags = {
            quality.GUESSED_CALENDAR: guess or run.session(moment.of.trade_date).is_guess,
            quality.STALE_SET: contract.conid in stale,
            quality.SPENT: contract.conid in found.spent,
        }
        quote = found.quotes[contract.conid]
        is_silence = (
            quote.failure is not None and quote.failure.error_type in silent_contracts.KINDS
        )
        flags[quality.SILENT] = is_silence and contract.conid in silent
        held = frozenset(flag for flag, holds in flags.items() if holds)
        rows.append(row_of(quote, moment.of, run.run, moment.run_type, flags=held))
    return rows


def _stored(moment: Moment, symbols: Sequence[str]) -> Any:
    day, at = moment.of.trade_date, moment.at
    return lambda conn: stored.captured(conn, moment.table, day, at, symbols)


def _queue(
    run: Context,
    moment: Moment,
    symbol: str,
    chosen: Sequence[OptionContract],
    after: Mapping[int, Mapping[str, Any]],
    unasked: Collection[int],
) -> list[dict[str, Any]]:
    """Rows of the re-capture queue: what lacks a quote waits, what waited and has one is done, and what
    never ticks, or the session's set does not hold any more, is given up. Where the time was over before a
    contract's turn, that was no attempt."""
    day, now = moment.of.trade_date, run.now()
    waiting: dict[int, Queued] = {
        q.conid: q for q in run.ask(lambda conn: stored.queue(conn, day, moment.at, symbol))
    }
    found = []
    for contract in chosen:
        row, before = after[contract.conid], waiting.get(contract.conid)
        lacks = row["snapshot_error"] and row["error_type"] in QUEUED and not is_silent(row)
        if not lacks and before is None:
            continue
        found.append(
            queue_row(
                moment.of.trade_date,
                moment.at,
                contract.conid,
                symbol,
                reason=row["error_type"] or (before.reason if before else ""),
                attempts=(before.attempts if before else 0) + (contract.conid not in unasked),
                queued_at=before.queued_at if before else now,
                next_try_at=now + timedelta(seconds=run.again_after),
                state="queued" if lacks else "expired" if is_silent(row) else "done",
            )
            | run.lineage
        )
    if moment.run_type == RECAPTURE:
        asked = {contract.conid for contract in chosen}
        given_up = [q for q in waiting.values() if q.conid not in asked]
        found += [expired(run, moment.of.trade_date, q) for q in given_up]
    return found


def expired(run: Context, day: date, queued: Queued) -> dict[str, Any]:
    """The row of the queue that gives up what waited."""
    return (
        queue_row(
            day,
            queued.sample_time,
            queued.conid,
            queued.symbol,
            reason=queued.reason,
            attempts=queued.attempts,
            queued_at=queued.queued_at,
            next_try_at=queued.next_try_at,
            state="expired",
        )
        | run.lineage
    )


def queue_row(day: Any, at: datetime, conid: int, symbol: str, **values: Any) -> dict[str, Any]:
    key = {"trade_date": day, "sample_time": at, "conid": conid, "symbol": symbol}
    return key | values | {"source_route": ROUTE}


def _failure(
    run: Context, symbol: str, tally: Tally, rows: Sequence[Mapping[str, Any]]
) -> str | None:
    if not tally.planned:
        return f"no contracts of {symbol}: `loaders run ib --task discover` finds them"
    if not tally.errors:
        return None
    if run.gone is not None:
        return str(run.gone)
    kinds = Counter(
        row["error_type"]
        for row in rows
        if row["error_type"] and row["snapshot_error"] and not is_silent(row)
    )
    why = f": {kinds.most_common(1)[0][0]}" if kinds else ""
    return f"{tally.errors:,} of {tally.planned:,} contracts have no quote{why}"
