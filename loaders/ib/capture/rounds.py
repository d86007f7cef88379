"""Quotes of many contracts at one time: rounds of batches, back-off, no contract silently absent.

A round requests batch after batch. Failures that may pass (pacing, a broken connection, no answer)
are requested again in a further round, after the next of `retry_waits` and by a new connection, but
by the old one if the gateway lost its servers: a new one would not know of it. A round that got
something starts the waits from the first again. What no round got keeps its failure, and is
`spent`.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TypeVar

from loaders.engine.outcome import Stopped
from loaders.ib.client import error_codes
from loaders.ib.client.gateway import Gateway
from loaders.ib.client.values import Failure, OptionContract, Quote
from loaders.ib.errors import GatewayGone
from loaders.ib.pacing import TokenBucket, Waits
from loaders.requests.counts import count
from quotemill.errors import UpstreamError

# failures that need a pause; the adapter itself waits for a connection that broke
PACED = (error_codes.PACING, error_codes.NO_LINES, error_codes.COMPETING_SESSION)
# failures that may pass at once
PASSING = (*PACED, error_codes.GATEWAY_GONE, error_codes.CONNECTIVITY)
# and those that may pass later: the slot lacks the contract
LATER = (
    *PASSING,
    error_codes.NO_ANSWER,
    error_codes.NO_PRICE,
    error_codes.NOT_ASKED,
    error_codes.UNKNOWN,
    "client_id_in_use",
)
# stands in for live data, and for the last data of a closed session
DELAYED_TYPE = {1: 3, 2: 4}

T = TypeVar("T")


@dataclass
class Capture:
    """Result of a capture: a quote of each contract that was reached, in the order of requests.

    spent     contracts that failed in every round
    settled   contracts that are not requested again, in the order of their answers
    attempts  rounds
    has_begun a batch was requested, of an earlier group of symbols too
    gone      why no gateway answers any more
    stopped   the load was to stop
    is_cut    the time was over before all were requested
    """

    quotes: dict[int, Quote] = field(default_factory=dict)
    spent: set[int] = field(default_factory=set)
    settled: list[int] = field(default_factory=list)
    attempts: int = 0
    has_begun: bool = False
    gone: UpstreamError | None = None
    stopped: bool = False
    is_cut: bool = False

    @property
    def hold_s(self) -> float:
        """The mean time for which a batch held its lines."""
        return sum(q.hold_s for q in self.quotes.values()) / max(len(self.quotes), 1)


@dataclass
class Capturer:
    """Requests quotes of a gateway.

    fallback  whether delayed data are accepted for live ones
    denied    symbols without live data: their contracts are requested by delayed data at once
    deadline  time after which nothing is requested again
    is_over   whether that time has come: then no further batch starts either
    """

    gateway: Gateway
    now: Callable[[], datetime]
    bucket: TokenBucket
    waits: Waits
    batch_size: int
    lines: int
    market_data_type: int
    fallback: bool
    retry_waits: Sequence[float]
    deadline: datetime
    cancelling: Callable[[], bool] = lambda: False
    report: Callable[[str], object] = lambda _: None
    denied: set[str] = field(default_factory=set)
    is_over: Callable[[], bool] = lambda: False

    def run(self, contracts: Sequence[OptionContract], result: Capture) -> Iterator[None]:
        """Fill `result`, batch after batch; a stop ends it, also in a pause."""
        try:
            yield from self._run_rounds(contracts, result)
        except Stopped:
            result.stopped = True

    def _run_rounds(self, contracts: Sequence[OptionContract], result: Capture) -> Iterator[None]:
        left, waits = list(contracts), list(self.retry_waits)
        while left and result.gone is None and not result.stopped:
            result.attempts += 1
            before = len(left)
            left = yield from self._run_round(left, result)
            if result.stopped or result.is_cut or not left:
                break
            if len(left) < before:
                waits = list(self.retry_waits)
            if not waits or not self._pause(waits.pop(0), left, result):
                break
        if not result.stopped:
            result.spent = {contract.conid for contract in left}
            self._fail_unreached(contracts, result)

    def _run_round(
        self, contracts: Sequence[OptionContract], result: Capture
    ) -> Generator[None, None, list[OptionContract]]:
        """The contracts to request again. A batch that fails as a whole ends the round."""
        again: list[OptionContract] = []
        # in this round: contracts that failed in an earlier one are still to be requested
        reached: set[int] = set()
        for batch in split_batches(contracts, self.batch_size):
            if self.cancelling():
                result.stopped = True
                return again
            # a gateway that answers nothing, batch after batch, must not cost the next slot
            if result.has_begun and self.is_over():
                result.is_cut = True
                return again + [c for c in contracts if c.conid not in reached]
            quotes = self._request_batch(batch, result)
            failed = [q.contract for q in quotes if q.failure and q.failure.error_type in PASSING]
            again += failed
            reached |= {q.contract.conid for q in quotes}
            result.settled += [q.contract.conid for q in quotes if q.contract not in failed]
            yield
            if result.gone is not None or len(failed) == len(batch):
                return again + [c for c in contracts if c.conid not in reached]
        return again

    def _request_batch(self, batch: Sequence[OptionContract], result: Capture) -> list[Quote]:
        """One batch; once more by delayed data where live ones are not permitted."""
        delayed_type = DELAYED_TYPE.get(self.market_data_type) if self.fallback else None
        denied = [c for c in batch if delayed_type and c.symbol in self.denied]
        live = [c for c in batch if c not in denied]
        quotes = self._request(live, self.market_data_type, result)
        if delayed_type is not None and result.gone is None:
            refused = [q for q in quotes if _is_refused(q)]
            permitted = {q.contract.symbol for q in quotes if not _is_refused(q)}
            self.denied |= {q.contract.symbol for q in refused} - permitted
            # a stop may come while the delayed request waits for its turn
            result.quotes |= {q.contract.conid: q for q in quotes if q not in refused}
            again = [*denied, *(q.contract for q in refused)]
            delayed = {q.contract.conid: q for q in self._request(again, delayed_type, result)}
            count("fallbacks", len(delayed))
            quotes = [q for q in quotes if q.contract.conid not in delayed]
            # the row says that it requested live data
            quotes += [replace(q, requested_type=self.market_data_type) for q in delayed.values()]
        result.quotes |= {q.contract.conid: q for q in quotes}
        return quotes

    def _request(
        self, contracts: Sequence[OptionContract], market_data_type: int, result: Capture
    ) -> list[Quote]:
        if not contracts:
            return []
        self.bucket.take()
        result.has_begun = True
        # a line for each underlying beside those of the contracts
        lines = min(len(contracts) + len({c.symbol for c in contracts}), self.lines)
        try:
            return self.gateway.quotes(contracts, market_data_type, lines=lines)
        except UpstreamError as error:
            result.gone = error
            return []

    def _pause(self, seconds: float, left: Sequence[OptionContract], result: Capture) -> bool:
        """Before another round; False where the slot would be over by then."""
        reasons = {
            q.failure.error_type for c in left if (q := result.quotes.get(c.conid)) and q.failure
        }
        if self.now() + timedelta(seconds=seconds) >= self.deadline:
            return False
        is_paced = bool(reasons & set(PACED))
        waits = is_paced or error_codes.CONNECTIVITY in reasons
        when = f"in {seconds:g} s" if waits else "on a new connection"
        self.report(f"{', '.join(sorted(reasons))}: retrying {len(left)} contracts {when}")
        if is_paced:
            self.bucket.slow_down()
        if waits:
            self.waits.pause(seconds)
        if reasons != {error_codes.CONNECTIVITY}:
            self.gateway.reconnect()
        count("retries", len(left))
        return True

    def _fail_unreached(self, contracts: Sequence[OptionContract], result: Capture) -> None:
        """Give contracts that were never reached a failure too."""
        missing = [c for c in contracts if c.conid not in result.quotes]
        if not missing:
            return
        if result.gone:
            failure = make_failure(result.gone)
        elif result.is_cut:
            failure = Failure(error_codes.NOT_ASKED, None, "not requested: no time left")
        else:
            last = list(result.quotes.values())[-1].failure if result.quotes else None
            kind, code = (last.error_type, last.error_code) if last else (error_codes.PACING, None)
            failure = Failure(kind, code, "not requested: the batches before it failed")
        now = self.now()
        for contract in missing:
            result.quotes[contract.conid] = Quote(
                contract, self.market_data_type, now, failure=failure
            )
            result.spent.add(contract.conid)


def make_failure(error: UpstreamError) -> Failure:
    kind = error_codes.GATEWAY_GONE if isinstance(error, GatewayGone) else "client_id_in_use"
    return Failure(kind, None, str(error))


def _is_refused(quote: Quote) -> bool:
    return quote.failure is not None and quote.failure.error_type == error_codes.NO_PERMISSION


def split_batches(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
