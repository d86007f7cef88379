"""Quotes of many contracts at one moment: batches, back-off, and nothing silently absent.

A round asks batch after batch. What failed for a reason that may pass (pacing, a broken connection, no
answer) is asked again in a further round, after the next of `retry_waits` and by a new connection; a round
that got something begins the waits anew. What no round got keeps its failure, and is `spent`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TypeVar

from loaders.errors import UpstreamError
from loaders.ib.capture.flags import DELAYED_TYPES
from loaders.ib.client import error_codes
from loaders.ib.client.gateway import Failure, Gateway, OptionContract, Quote
from loaders.ib.errors import GatewayGone
from loaders.ib.pacing import TokenBucket, Waits
from loaders.request_counts import count

# failures that ask for a pause; a connection that broke is waited for by the adapter
PACED = (error_codes.PACING, error_codes.NO_LINES, error_codes.COMPETING_SESSION)
# failures that another try may mend at once
PASSING = (*PACED, error_codes.GATEWAY_GONE, "connectivity")
# and those that it may mend later
QUEUED = (*PASSING, error_codes.NO_ANSWER, error_codes.NO_PRICE, "client_id_in_use")
DELAYED_OF = {1: 3, 2: 4}  # what stands in for live data, and for the last ones of a closed session

T = TypeVar("T")


@dataclass
class Captured:
    """What a capture came to: a quote of each contract that was reached, in the order of asking.

    `spent` are contracts that every try failed, `unasked` those among them whose turn never came; `attempts` the
    rounds; `gone` why nobody answers any more.
    `stopped`: the load was to stop; `is_cut`: the time was over before all were asked.
    """

    quotes: dict[int, Quote] = field(default_factory=dict)
    spent: set[int] = field(default_factory=set)
    unasked: set[int] = field(default_factory=set)
    attempts: int = 0
    batches: int = 0
    gone: UpstreamError | None = None
    stopped: bool = False
    is_cut: bool = False

    @property
    def hold_s(self) -> float:
        """The mean time for which a batch held its lines."""
        return sum(q.hold_s for q in self.quotes.values()) / max(len(self.quotes), 1)


@dataclass
class Capturer:
    """Asks a gateway. `wanted` is the market data type, `fallback` whether an older one will do.

    `denied` are symbols of which no live data may be had: they are asked for delayed ones at once.
    `deadline` is the moment after which nothing is asked again, `is_over` says that it has come: then no
    further batch begins either.
    """

    gateway: Gateway
    now: Callable[[], datetime]
    bucket: TokenBucket
    waits: Waits
    batch_size: int
    lines: int
    wanted: int
    fallback: bool
    retry_waits: Sequence[float]
    deadline: datetime
    cancelling: Callable[[], bool] = lambda: False
    report: Callable[[str], object] = lambda _: None
    denied: set[str] = field(default_factory=set)
    gone: UpstreamError | None = None
    is_over: Callable[[], bool] = lambda: False

    def capture(self, contracts: Sequence[OptionContract]) -> Captured:
        found = Captured(gone=self.gone)
        left, waits = list(contracts), list(self.retry_waits)
        while left and found.gone is None and not found.stopped:
            found.attempts += 1
            before = len(left)
            left = self._round(left, found)
            if found.stopped or found.is_cut or not left:
                break
            if len(left) < before:
                waits = list(self.retry_waits)
            if not waits or not self._pause(waits.pop(0), left, found):
                break
        if not found.stopped:
            found.spent = {contract.conid for contract in left}
            self._fail_the_rest(contracts, found)
        return found

    def _round(self, contracts: Sequence[OptionContract], found: Captured) -> list[OptionContract]:
        """Ask once; the contracts that are to be asked again. A batch that fails as a whole ends it."""
        again: list[OptionContract] = []
        # in this round: what failed in an earlier one is still to be asked
        reached: set[int] = set()
        for batch in in_batches(contracts, self.batch_size):
            if self.cancelling():
                found.stopped = True
                return again
            # a gateway that answers nothing, batch after batch, must not cost the next slot
            if found.batches and self.is_over():
                found.is_cut = True
                return again + [c for c in contracts if c.conid not in reached]
            quotes = self._batch(batch, found)
            failed = [q.contract for q in quotes if q.failure and q.failure.error_type in PASSING]
            again += failed
            reached |= {q.contract.conid for q in quotes}
            if found.gone is not None or len(failed) == len(batch):
                return again + [c for c in contracts if c.conid not in reached]
        return again

    def _batch(self, batch: Sequence[OptionContract], found: Captured) -> list[Quote]:
        """One batch, and once more by delayed data what live ones are not permitted of."""
        older = DELAYED_OF.get(self.wanted) if self.fallback else None
        denied = [c for c in batch if older and c.symbol in self.denied]
        live = [c for c in batch if c not in denied]
        quotes = self._ask(live, self.wanted, found)
        if older is not None and found.gone is None:
            refused = [q for q in quotes if _refused(q)]
            of_symbol = {q.contract.symbol for q in refused}
            self.denied |= of_symbol - {q.contract.symbol for q in quotes if not _refused(q)}
            asked = [*denied, *(q.contract for q in refused)]
            delayed = {q.contract.conid: q for q in self._ask(asked, older, found)}
            count("fallbacks", len(delayed))
            kept = [q for q in quotes if q.contract.conid not in delayed]
            # what was wanted is what the row says it asked for
            quotes = kept + [replace(q, requested_type=self.wanted) for q in delayed.values()]
        found.quotes |= {q.contract.conid: q for q in quotes}
        return quotes

    def _ask(
        self, contracts: Sequence[OptionContract], market_data_type: int, found: Captured
    ) -> list[Quote]:
        if not contracts:
            return []
        self.bucket.take()
        found.batches += 1
        # a line for each underlying beside those of the contracts
        lines = min(len(contracts) + len({c.symbol for c in contracts}), self.lines)
        try:
            return self.gateway.quotes(contracts, market_data_type, lines=lines)
        except UpstreamError as error:
            self.gone = found.gone = error
            return []

    def _pause(self, seconds: float, left: Sequence[OptionContract], found: Captured) -> bool:
        """Before another round; False where the slot would be over by then."""
        reasons = {
            q.failure.error_type for c in left if (q := found.quotes.get(c.conid)) and q.failure
        }
        if self.now() + timedelta(seconds=seconds) >= self.deadline:
            return False
        is_paced = bool(reasons & set(PACED))
        when = f"in {seconds:g} s" if is_paced else "by a new connection"
        self.report(f"{', '.join(sorted(reasons))}: {len(left)} contracts again {when}")
        if is_paced:
            self.bucket.slow_down()
            self.waits.pause(seconds)
        self.gateway.reconnect()
        count("retries", len(left))
        return True

    def _fail_the_rest(self, contracts: Sequence[OptionContract], found: Captured) -> None:
        """Contracts that were never reached get a failure too: none is silently absent."""
        missing = [c for c in contracts if c.conid not in found.quotes]
        if not missing:
            return
        now, last = self.now(), list(found.quotes.values())[-1:]
        why = failure_of(found.gone) if found.gone else last[0].failure if last else None
        kind = why.error_type if why else error_codes.PACING
        said = (
            why.error_message if found.gone and why else "not asked: the batches before it failed"
        )
        failure = Failure(kind, why.error_code if why else None, said)
        if found.is_cut and not found.gone:
            failure = Failure(error_codes.NO_ANSWER, None, "not asked: the time for it was over")
        for contract in missing:
            found.quotes[contract.conid] = Quote(contract, self.wanted, now, failure=failure)
            found.spent.add(contract.conid)
            found.unasked.add(contract.conid)


def failure_of(error: UpstreamError) -> Failure:
    kind = error_codes.GATEWAY_GONE if isinstance(error, GatewayGone) else "client_id_in_use"
    return Failure(kind, None, str(error))


def _refused(quote: Quote) -> bool:
    return quote.failure is not None and quote.failure.error_type == error_codes.NO_PERMISSION


def is_delayed(quote: Quote) -> bool:
    return quote.market_data_type in DELAYED_TYPES


def in_batches(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
