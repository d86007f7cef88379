"""A capture of a slot or of the close as outcomes: better rows, the queue, the tally."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from loaders.engine.outcome import Outcome
from loaders.ib.capture import flags
from loaders.ib.capture.better_row import NOT_YET, is_better
from loaders.ib.capture.flags import INCOMPLETE, is_silent, may_improve
from loaders.ib.capture.rounds import QUEUED, Capture
from loaders.ib.capture.rows import CLOSE, RECAPTURE, Tally, make_row
from loaders.ib.client.error_codes import NOT_ASKED
from loaders.ib.client.values import Failure, OptionContract, Quote
from loaders.ib.context import Context
from loaders.ib.queries import landed
from loaders.ib.queries.landed import Chain, Queued
from loaders.ib.queries.silent_contracts import KINDS, read_silent
from loaders.ib.slots import (
    Session,
    Slot,
    make_key,
    parse_point,
    parse_symbol,
    require_session,
)

ROUTE = "market_data"
LAND_AFTER = 1.0  # seconds of a capture in one package of rows; to land one takes a tenth of it
LANDINGS = 4  # so many times as long as the last one took to land, where that is more
LONGEST = 10  # but not more than so many times LAND_AFTER
SHOWN = 3  # symbols of a capture in the words about it
STOPPED = "not asked: the load was stopped before"


@dataclass(frozen=True)
class Target:
    """A capture: of a slot or a session's close, into a table, as a kind of run."""

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
    controls: Sequence[OptionContract] = (),
) -> Iterator[Outcome]:
    """Capture the contracts of some symbols together; an outcome of each symbol, in order.

    Contracts that are `settled` have their row: they are counted and not requested. `controls` are
    requested beside the others, because they answered before: where they do not, the gateway is
    silent and not the contract.

    A capture that takes longer lands in parts (`LAND_AFTER`), a slow batch by itself, the first
    with an error row for each contract whose turn is still to come, of later groups too: whatever
    ends the load, each has a row. A warehouse that is slow, or far, has larger parts: to land must
    not take the time of the slot. One that is stopped lands what it has; `leave` does the rest.
    """
    work = _Work(ctx, target, chains=chains, symbols=symbols, contracts=contracts)
    ctx.unplanned.difference_update(make_key(symbol, target.point) for symbol in symbols)
    ctx.take_pacing_events()  # those of earlier steps
    wanted = [c for c in work.listed if c.conid not in settled]
    result = Capture(gone=ctx.gone, has_begun=target.cursor in ctx.begun)
    capturer = ctx.capturer(target.market_data_type, target.deadline)
    # a contract that never ticks holds its line to the end: the others come first
    place = {symbol: n for n, symbol in enumerate(symbols)}
    ordered = sorted(
        [*controls, *wanted], key=lambda c: (c.conid in work.silent, place.get(c.symbol, 0))
    )
    landed_at, patience = ctx.waits.monotonic(), LAND_AFTER
    is_planned = False
    ctx.load.hold("capture", work.describe())
    for _ in capturer.run(ordered, result):
        ctx.begun.add(target.cursor)
        ctx.gone = ctx.gone or result.gone
        work.take(result, result.settled)
        result.settled.clear()
        ctx.load.hold("capture", work.describe())
        if ctx.gone or ctx.waits.monotonic() - landed_at < patience:
            continue
        if not is_planned:
            work.plan_rest(NOT_YET)
            is_planned = True
            # a retry may have keys of several slots
            if keys := {key for key in ctx.unplanned if parse_point(key) == target.cursor}:
                yield _plan_symbols(ctx, target, sorted(map(parse_symbol, keys)))
                ctx.unplanned -= keys
        begun_at = ctx.waits.monotonic()
        yield work.make_part()
        landed_at = ctx.waits.monotonic()
        patience = LAND_AFTER * min(max(LANDINGS * (landed_at - begun_at), 1), LONGEST)
    work.take(result, result.quotes)
    ctx.load.hold("capture")
    ctx.load.log("info", work.describe(), {})
    if result.stopped:
        yield work.make_part()
        return
    yield from work.finish(result)


def find_all(chains: Mapping[str, Chain]) -> dict[str, Sequence[OptionContract]]:
    """All contracts of each chain."""
    return {symbol: chain.contracts for symbol, chain in chains.items()}


def _plan_symbols(ctx: Context, target: Target, symbols: Sequence[str]) -> Outcome:
    """Error rows of the contracts of later groups."""
    chains = ctx.chains(target.trade_date, symbols)
    work = _Work(ctx, target, chains=chains, symbols=symbols, contracts=find_all(chains))
    work.plan_rest(NOT_YET)
    return work.make_part()


def leave(
    ctx: Context,
    target: Target,
    *,
    chains: Mapping[str, Chain],
    symbols: Sequence[str],
    contracts: Mapping[str, Sequence[OptionContract]],
) -> Outcome:
    """Rows of a stop: an error for each contract without one, the queue, the tally."""
    work = _Work(ctx, target, chains=chains, symbols=symbols, contracts=contracts)
    work.plan_rest(STOPPED)
    queue: list[dict[str, Any]] = []
    for symbol in symbols:
        if target.run_type != CLOSE and work.chosen[symbol]:
            queue += _make_queue(ctx, target, symbol, work.chosen[symbol], work.rows, ())
        work.count(symbol, ctx.now())
    return work.make_part(queue)


class _Work:
    """A capture under way: the better row of each contract, and the rows that have not landed."""

    def __init__(
        self,
        ctx: Context,
        target: Target,
        *,
        chains: Mapping[str, Chain],
        symbols: Sequence[str],
        contracts: Mapping[str, Sequence[OptionContract]],
    ) -> None:
        self.ctx, self.target, self.chains, self.symbols = ctx, target, chains, symbols
        self.chosen = {symbol: contracts.get(symbol, ()) for symbol in symbols}
        self.listed = [c for symbol in symbols for c in self.chosen[symbol]]
        self.started_at = ctx.now()
        day, at, table = target.trade_date, target.at, target.table
        self.silent = ctx.ask(lambda conn: read_silent(conn, day, symbols))
        self.unresolved = ctx.ask(lambda conn: landed.count_unresolved(conn, day, symbols))
        # stored rows, and those of this capture where they are better
        self.rows = ctx.ask(lambda conn: landed.read_captures(conn, table, day, at, symbols))
        self._by_conid = {c.conid: c for c in self.listed}
        self._made: set[int] = set()
        self._waiting: dict[int, dict[str, Any]] = {}  # to land

    def take(self, result: Capture, conids: Collection[int]) -> None:
        """Make the rows of contracts that have an answer, once."""
        for conid in list(conids):
            if conid in self._made or conid not in self._by_conid:
                continue
            self._made.add(conid)
            self._keep(self._make_row(result.quotes[conid], result))

    def describe(self) -> str:
        """How many of the planned contracts have a quote, and of which symbols."""
        rows = map(self.rows.get, self._by_conid)
        quoted = sum(row is not None and not row["snapshot_error"] for row in rows)
        of = ", ".join([*self.symbols[:SHOWN], *(["…"] if len(self.symbols) > SHOWN else [])])
        return f"{quoted:,} of {len(self.listed):,} contracts quoted: {of}"

    def plan_rest(self, why: str) -> None:
        """Make error rows of the contracts that nothing better is known of."""
        now, failure = self.ctx.now(), Failure(NOT_ASKED, None, why)
        for contract in self.listed:
            if contract.conid not in self._made:
                quote = Quote(contract, self.target.market_data_type, now, failure=failure)
                self._keep(self._make_row(quote, Capture()))

    def _keep(self, row: dict[str, Any]) -> None:
        window_s = 60 * self.ctx.settings.slot_window_minutes
        if is_better(row, self.rows.get(row["conid"]), window_s):
            self.rows[row["conid"]] = self._waiting[row["conid"]] = row

    def _make_row(self, quote: Quote, result: Capture) -> dict[str, Any]:
        target, contract = self.target, quote.contract
        chain = self.chains.get(contract.symbol)
        is_silence = quote.failure is not None and quote.failure.error_type in KINDS
        raised = {
            flags.GUESSED_CALENDAR: require_session(target.trade_date).is_guess,
            flags.STALE_SET: chain is not None and contract.conid in chain.stale_conids,
            flags.SPENT: contract.conid in result.spent,
            flags.SILENT: is_silence and contract.conid in self.silent,
        }
        return make_row(
            quote,
            target.point,
            provenance=self.ctx.provenance,
            run_type=target.run_type,
            known_flags=frozenset(flag for flag, is_raised in raised.items() if is_raised),
        )

    def make_part(self, queue: Sequence[dict[str, Any]] = ()) -> Outcome:
        """The rows that have not landed."""
        key = make_key(self.symbols[0], self.target.point)
        return Outcome(key, self._take_waiting(), beside=queue, is_part=True)

    def count(
        self, symbol: str, finished_at: datetime, *, pacing_events: int = 0, attempts: int = 1
    ) -> Tally:
        """The tally of a symbol by its rows, as a row of slot_run too."""
        chosen, target = self.chosen[symbol], self.target
        unresolved = 0 if target.run_type == RECAPTURE else self.unresolved.get(symbol, 0)
        tally = Tally(len(chosen) + unresolved, errors=unresolved)
        for contract in chosen:
            tally.count(self.rows[contract.conid])
        # queued contracts may be of a set that another one has replaced since
        if chosen or target.run_type != RECAPTURE:
            self.ctx.slot_runs[make_key(symbol, target.point)] = {
                "trade_date": target.trade_date,
                "sample_time": target.at,
                "symbol": symbol,
                "ingest_run_type": target.run_type,
                **vars(tally),
                "pacing_events": pacing_events,
                "attempts": attempts,
                "started_at": self.started_at,
                "finished_at": finished_at,
                "status": tally.status,
                "source_route": ROUTE,
            } | self.ctx.lineage
        return tally

    def _take_waiting(self) -> list[dict[str, Any]]:
        """The rows that have not landed, which the caller lands."""
        rows, self._waiting = self._waiting.values(), {}
        return [row | {"source_route": ROUTE, **self.ctx.lineage} for row in rows]

    def finish(self, result: Capture) -> Iterator[Outcome]:
        """The outcome of each symbol, its tally and its queue.

        The first has the rows of all: a stop may let no other land, and `leave` goes by the rows.
        """
        ctx, target = self.ctx, self.target
        events, finished_at = ctx.take_pacing_events(), ctx.now()
        symbol_by_conid = {conid: c.symbol for conid, c in self._by_conid.items()}
        pacing = Counter(symbol_by_conid.get(e.conid or 0, self.symbols[0]) for e in events)
        for symbol, chosen in self.chosen.items():
            key = make_key(symbol, target.point)
            # an earlier load requested what is settled
            attempts = max(result.attempts, 1)
            tally = self.count(symbol, finished_at, pacing_events=pacing[symbol], attempts=attempts)
            failure = None
            if chosen or target.run_type != RECAPTURE:
                mine = [self.rows[c.conid] for c in chosen]
                failure = _describe_failure(ctx, symbol, tally, mine)
            queue = []
            if target.run_type != CLOSE:
                queue = _make_queue(ctx, target, symbol, chosen, self.rows, result.heard)
            yield Outcome(
                key,
                self._take_waiting(),
                cursor=None if target.run_type == RECAPTURE or not chosen else target.cursor,
                cursor_key=symbol,
                failure=failure,
                beside=queue,
            )


def _make_queue(
    ctx: Context,
    target: Target,
    symbol: str,
    contracts: Sequence[OptionContract],
    after: Mapping[int, Mapping[str, Any]],
    heard: Collection[int],
) -> list[dict[str, Any]]:
    """Rows of the re-capture queue of a symbol.

    A contract that lacks a quote waits; one that waited and has one is done; one that never ticks,
    or has left the session's set, is given up. One whose answer was not complete waits once. A
    capture counts as an attempt where others of the symbol answered beside the contract (`heard`):
    else its turn did not come, or the gateway was silent.
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
            attempts=(before.attempts if before else 0) + (contract.conid in heard),
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
    failed = [row for row in rows if row["snapshot_error"] and not is_silent(row)]
    if rows and not failed:
        if tally.errors:  # no alarm each slot: discovery, which named them, has failed
            many = f"{tally.errors:,} of {tally.planned:,} contracts"
            ctx.load.warn(f"{symbol}: {many} are listed and could not be looked up")
        return None
    if ctx.gone is not None:
        return str(ctx.gone)
    kinds = Counter(row["error_type"] for row in failed if row["error_type"])
    kinds["not looked up"] = tally.errors - len(failed)
    why = f": {kinds.most_common(1)[0][0]}"
    return f"{tally.errors:,} of {tally.planned:,} contracts have no quote{why}"
