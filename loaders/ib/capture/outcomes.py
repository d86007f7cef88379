"""A capture of a slot or of the close as outcomes: better rows, and the tally beside them."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from loaders.engine.outcome import Outcome
from loaders.ib.capture import flags
from loaders.ib.capture.better_row import is_better
from loaders.ib.capture.flags import DELAYED_TYPES
from loaders.ib.capture.rounds import Capture
from loaders.ib.capture.rows import RECAPTURE, Tally, make_row
from loaders.ib.client.error_codes import NOT_ASKED
from loaders.ib.client.values import OptionContract, Quote
from loaders.ib.context import Context
from loaders.ib.queries import landed
from loaders.ib.queries.landed import Chain
from loaders.ib.slots import Session, Slot, make_key, require_session

ROUTE = "market_data"
LAND_AFTER = 1.0  # seconds of a capture in one package of rows; to land one takes a tenth of it
LANDINGS = 4  # so many times as long as the last one took to land, where that is more
LONGEST = 10  # but not more than so many times LAND_AFTER
SHOWN = 3  # symbols of a capture in the words about it
COVERED = 0.9  # of a symbol's contracts: with fewer quotes a slot has failed, to the models too


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
) -> Iterator[Outcome]:
    """Capture the contracts of some symbols together; an outcome of each symbol, in order.

    Contracts that are `settled` have their row: they are counted and not requested.

    A capture that takes longer lands in parts (`LAND_AFTER`), a slow batch by itself. A warehouse
    that is slow, or far, has larger parts: to land must not take the time of the slot. One that is
    stopped lands what it has; what has no row is what the slot lacks.
    """
    work = _Work(ctx, target, chains=chains, symbols=symbols, contracts=contracts)
    ctx.take_pacing_events()  # those of earlier steps
    wanted = [c for c in work.listed if c.conid not in settled]
    result = Capture(gone=ctx.gone, has_begun=target.cursor in ctx.begun)
    capturer = ctx.capturer(target.market_data_type, target.deadline)
    # a contract that brings nothing holds its line to the end: the others come first
    mute = ctx.ask(lambda conn: landed.read_mute(conn, target.trade_date, symbols))
    ordered = sorted(wanted, key=lambda c: c.conid in mute)
    landed_at, patience = ctx.waits.monotonic(), LAND_AFTER
    ctx.load.hold("capture", work.describe())
    for _ in capturer.run(ordered, result):
        ctx.begun.add(target.cursor)
        ctx.gone = ctx.gone or result.gone
        work.take(result, result.settled)
        result.settled.clear()
        ctx.load.hold("capture", work.describe())
        if ctx.gone or ctx.waits.monotonic() - landed_at < patience:
            continue
        begun_at = ctx.waits.monotonic()
        yield work.make_part()
        landed_at = ctx.waits.monotonic()
        patience = LAND_AFTER * min(max(LANDINGS * (landed_at - begun_at), 1), LONGEST)
    work.take(result, result.quotes)
    ctx.load.hold("capture")
    ctx.load.log("info", work.describe(), {})
    if result.stopped:
        yield work.make_part(work.tally_all(result))
        return
    yield from work.finish(result)


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

    def _keep(self, row: dict[str, Any]) -> None:
        window_s = 60 * self.ctx.settings.slot_window_minutes
        if is_better(row, self.rows.get(row["conid"]), window_s):
            self.rows[row["conid"]] = self._waiting[row["conid"]] = row

    def _make_row(self, quote: Quote, result: Capture) -> dict[str, Any]:
        target, contract = self.target, quote.contract
        chain = self.chains.get(contract.symbol)
        raised = {
            flags.GUESSED_CALENDAR: require_session(target.trade_date).is_guess,
            flags.STALE_SET: chain is not None and contract.conid in chain.stale_conids,
            flags.SPENT: contract.conid in result.spent,
        }
        return make_row(
            quote,
            target.point,
            provenance=self.ctx.provenance,
            run_type=target.run_type,
            known_flags=frozenset(flag for flag, is_raised in raised.items() if is_raised),
        )

    def make_part(self, tallies: Sequence[dict[str, Any]] = ()) -> Outcome:
        """The rows that have not landed."""
        key = make_key(self.symbols[0], self.target.point)
        return Outcome(key, self._take_waiting(), beside=tallies, is_part=True)

    def tally_all(self, result: Capture) -> list[dict[str, Any]]:
        """A row of slot_run of each symbol, by the rows that its contracts have."""
        ctx, target = self.ctx, self.target
        events, finished_at = ctx.take_pacing_events(), ctx.now()
        symbol_by_conid = {conid: c.symbol for conid, c in self._by_conid.items()}
        pacing = Counter(symbol_by_conid.get(e.conid or 0, self.symbols[0]) for e in events)
        rows = []
        for symbol, chosen in self.chosen.items():
            if target.run_type == RECAPTURE and not chosen:
                continue
            tally = Tally(len(chosen))
            for contract in chosen:
                if row := self.rows.get(contract.conid):
                    tally.count(row)
            # delayed data matter only if live data were requested
            if tally.delayed and ctx.settings.market_data_type not in DELAYED_TYPES:
                text = f"{tally.delayed:,} of {tally.planned:,} quotes are delayed"
                ctx.load.note("warning", f"{make_key(symbol, target.point)}: {text}")
            rows.append(
                {
                    "trade_date": target.trade_date,
                    "sample_time": target.at,
                    "symbol": symbol,
                    "ingest_run_type": target.run_type,
                    **vars(tally),
                    "pacing_events": pacing[symbol],
                    # an earlier load requested what is settled
                    "attempts": max(result.attempts, 1),
                    "started_at": self.started_at,
                    "finished_at": finished_at,
                    "status": tally.status,
                    "source_route": ROUTE,
                }
                | ctx.lineage
            )
        return rows

    def finish(self, result: Capture) -> Iterator[Outcome]:
        """The outcome of each symbol.

        The first has the rows and tallies of all: a stop may let no other land.
        """
        target, tallies = self.target, self.tally_all(result)
        for symbol, chosen in self.chosen.items():
            is_whole = target.run_type != RECAPTURE
            # a symbol without contracts too: its tally lands, and no source is unavailable
            yield Outcome(
                make_key(symbol, target.point),
                self._take_waiting(),
                cursor=target.cursor if is_whole or chosen else None,
                cursor_key=symbol,
                failure=self._describe_failure(symbol) if is_whole or chosen else None,
                beside=tallies,
            )
            tallies = []

    def _take_waiting(self) -> list[dict[str, Any]]:
        """The rows that have not landed, which the caller lands."""
        rows, self._waiting = self._waiting.values(), {}
        return [row | {"source_route": ROUTE, **self.ctx.lineage} for row in rows]

    def _describe_failure(self, symbol: str) -> str | None:
        """Why the slot has failed, by all contracts that the symbol has in it."""
        ctx, chain = self.ctx, self.chains.get(symbol)
        if chain is None:
            return f"no contracts of {symbol}; fix: `loaders run ib --task discover`"
        rows = [self.rows.get(c.conid) for c in chain.contracts]
        kinds = Counter(
            row["error_type"] if row else NOT_ASKED
            for row in rows
            if row is None or row["snapshot_error"]
        )
        if not kinds:
            return None
        why = kinds.most_common(1)[0][0]
        text = f"{kinds.total():,} of {len(rows):,} contracts have no quote: {why}"
        if len(rows) - kinds.total() >= COVERED * len(rows):
            ctx.load.log("warning", f"{make_key(symbol, self.target.point)}: {text}", {})
            return None
        return str(ctx.gone) if ctx.gone is not None else text
