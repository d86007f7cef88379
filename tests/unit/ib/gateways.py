"""A gateway, a clock and contracts that tests script."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from loaders.ib.client.values import Failure, OptionContract, Quote, Right
from loaders.ib.slots import NEW_YORK
from quotemill.errors import UpstreamError

TEN = datetime(2026, 11, 19, 15, 0, tzinfo=UTC)  # in New York


def new_york(text: str) -> datetime:
    """A wall clock of New York as UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=NEW_YORK).astimezone(UTC)


def contract(conid: int, symbol: str = "AAPL", right: Right = "C") -> OptionContract:
    expiry = date(2026, 12, 18)
    return OptionContract(
        conid=conid,
        local_symbol=f"{symbol:<6}261218{right}00200000",
        symbol=symbol,
        underlying_conid=1,
        trading_class=symbol,
        expiry=expiry,
        strike=Decimal(200),
        right=right,
        multiplier=Decimal(100),
    )


def quote(option: OptionContract, at: datetime = TEN, served: int = 1, **values: Any) -> Quote:
    """A good quote, but for `values`."""
    good: dict[str, Any] = {
        "bid": Decimal("1.20"),
        "ask": Decimal("1.30"),
        "last": Decimal("1.25"),
        "bid_size": 3,
        "iv": 0.25,
        "delta": 0.5 if option.right == "C" else -0.5,
        "gamma": 0.01,
        "vega": 0.2,
        "theta": -0.05,
        "greeks_source": "model",
        "und_last": Decimal(200),
        "und_quote_at": at,
        "market_data_type": served,
        "requested_type": 1,
        "asof_at": at,
    }
    return Quote(option, captured_at=at, **(good | values))


def failed(option: OptionContract, kind: str, code: int | None = None) -> Quote:
    return Quote(option, 1, TEN, failure=Failure(kind, code, f"{kind} of {option.conid}"))


@dataclass
class Time:
    """A clock that moves only with the pauses."""

    now: datetime = TEN
    pauses: list[float] = field(default_factory=list)
    _seconds: float = 0.0

    def clock(self) -> datetime:
        return self.now

    def monotonic(self) -> float:
        return self._seconds

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self._seconds += seconds
        self.now += timedelta(seconds=seconds)

    def until(self, at: datetime, now: Callable[[], datetime]) -> None:
        self.pause(max((at - now()).total_seconds(), 0.0))


Answer = Callable[[OptionContract, int], Quote | UpstreamError]


@dataclass
class ScriptedGateway:
    """Answers as `answer(contract, type)` says; `requests` are the batches, with their type."""

    answer: Answer
    requests: list[tuple[int, tuple[int, ...]]] = field(default_factory=list)
    reconnects: int = 0

    def quotes(
        self, contracts: Sequence[OptionContract], market_data_type: int, **_: object
    ) -> list[Quote]:
        self.requests.append((market_data_type, tuple(c.conid for c in contracts)))
        answers = [self.answer(c, market_data_type) for c in contracts]
        for item in answers:
            if isinstance(item, UpstreamError):
                raise item
        return [item for item in answers if isinstance(item, Quote)]

    def reconnect(self) -> None:
        self.reconnects += 1
