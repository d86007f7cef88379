"""Values that the loader exchanges with a gateway.

Prices are decimals in dollars per share, greeks floats, times UTC, dates those of New York. Nothing
that the gateway sends for "no value" (NaN, -1, -2, the largest double) gets through: it is None.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Literal

from loaders.ib.client.option_terms import Terms

Right = Literal["C", "P"]
SecType = Literal["STK", "IND"]
SMART = "SMART"
Clock = Callable[[], datetime]
Sleep = Callable[[float], None]


@dataclass(frozen=True)
class Underlying:
    """A stock, or an index (`sec_type` IND), which is quoted at its own exchange alone."""

    symbol: str
    conid: int
    exchange: str  # the primary one
    name: str = ""
    currency: str = "USD"
    sec_type: SecType = "STK"

    @property
    def is_index(self) -> bool:
        return self.sec_type == "IND"

    @property
    def route(self) -> str:
        """Where its market data and bars are requested."""
        return self.exchange if self.is_index else SMART


@dataclass(frozen=True)
class PreviousClose:
    """Close of the session before that of `Gateway.now`, or before the next one.

    `close_date` is None where the source does not say it: `ticker`, whose close is the previous
    one.
    """

    price: Decimal
    close_date: date | None
    source: Literal["history", "ticker"]


@dataclass(frozen=True)
class ChainParams:
    """Listings of a trading class. The lists are unions: not every pair of them exists.

    `exchange` is another one than SMART only if the gateway names nothing on SMART.
    """

    trading_class: str
    multiplier: Decimal | None
    expirations: tuple[date, ...]
    strikes: tuple[Decimal, ...]
    exchange: str = SMART


@dataclass(frozen=True)
class Candidate:
    """A contract that may exist; `qualify` finds out."""

    symbol: str
    underlying_conid: int
    trading_class: str
    expiry: date
    strike: Decimal
    right: Right
    underlying_route: str = SMART


@dataclass(frozen=True)
class OptionContract:
    """An option. `local_symbol` has 21 characters, its root padded with blanks: never strip it.

    expiry            last day on which it trades
    underlying_route  exchange of its index; SMART of a stock
    terms             when it expires; None of a contract that was looked up before
    """

    conid: int
    local_symbol: str
    symbol: str
    underlying_conid: int
    trading_class: str
    expiry: date
    strike: Decimal
    right: Right
    multiplier: Decimal
    exchange: str = SMART
    underlying_route: str = SMART
    terms: Terms | None = field(default=None, compare=False)

    @property
    def candidate(self) -> Candidate:
        return Candidate(**{field.name: getattr(self, field.name) for field in fields(Candidate)})


@dataclass(frozen=True)
class Failure:
    """Why there is nothing.

    error_type     a value of error_codes.py
    error_code     the gateway's number; None where it said nothing
    error_message  its words without account numbers
    """

    error_type: str
    error_code: int | None
    error_message: str


@dataclass(frozen=True)
class BadContract:
    """A contract that the gateway describes by a value that cannot be.

    field  the value's name in OptionContract, which breaks `rule`
    """

    candidate: Candidate
    local_symbol: str
    field: str
    rule: str
    value: str


@dataclass(frozen=True)
class Qualified:
    """Every candidate is in exactly one of the four.

    impossible  the gateway says that there is no such contract, which holds for the session
    failed      unknown whether there is such a contract
    bad         it exists, and cannot be used
    """

    contracts: list[OptionContract] = field(default_factory=list)
    impossible: list[Candidate] = field(default_factory=list)
    failed: list[tuple[Candidate, Failure]] = field(default_factory=list)
    bad: list[BadContract] = field(default_factory=list)


@dataclass(frozen=True)
class Quote:
    """Answer about one contract in one batch: data, a failure, or data that miss something.

    captured_at       when the row was read, by the gateway's clock or the injected one (UTC)
    asof_at           when its last packet arrived, by the same clock; None where nothing came
    market_data_type  as served: 1 live, 2 frozen, 3 delayed, 4 delayed-frozen; None: nothing came
    requested_type    as requested
    greeks_source     `model`, or None without greeks
    und_*             quote of the underlying in the same batch; `und_price` is the model's
    hold_s            seconds for which the request held a market data line
    is_incomplete     when the time was over, bid, ask or greeks had not come, nor a word that there
                      are none
    failure           None for a good row: a bid, an ask, a last trade, or the model's price or
                      volatility. A row with a failure has no data, except where the gateway
                      gives only a part (error_type `partial`) or no price (`no_price`)
    """

    contract: OptionContract
    requested_type: int
    captured_at: datetime
    asof_at: datetime | None = None
    market_data_type: int | None = None
    bid: Decimal | None = None
    ask: Decimal | None = None
    last: Decimal | None = None
    close_prev: Decimal | None = None
    bid_size: int | None = None
    ask_size: int | None = None
    last_size: int | None = None
    volume: int | None = None
    open_interest: int | None = None
    iv: float | None = None
    iv_bid: float | None = None
    iv_ask: float | None = None
    delta: float | None = None
    gamma: float | None = None
    vega: float | None = None
    theta: float | None = None
    opt_price_model: Decimal | None = None
    pv_dividend: Decimal | None = None
    und_price: Decimal | None = None
    greeks_source: str | None = None
    und_bid: Decimal | None = None
    und_ask: Decimal | None = None
    und_last: Decimal | None = None
    und_quote_at: datetime | None = None
    und_market_data_type: int | None = None
    hold_s: float = 0.0
    is_incomplete: bool = False
    failure: Failure | None = None

    @property
    def has_data(self) -> bool:
        return self.market_data_type is not None


@dataclass(frozen=True)
class OpenInterest:
    """Open interest of a contract. None without a failure: the gateway sent none in time."""

    contract: OptionContract
    open_interest: int | None
    captured_at: datetime
    market_data_type: int | None = None
    failure: Failure | None = None


@dataclass(frozen=True)
class ApiEvent:
    """A message of the gateway. `action` and `error_type` as in error_codes.py; `request_id` -1 is
    a message of the system.
    """

    at: datetime
    request_id: int
    code: int
    message: str
    action: str
    error_type: str
    is_pacing: bool
    conid: int | None = None


@dataclass(frozen=True)
class Probe:
    """A test of the gateway.

    served_type       what a quote of `symbol` was truly served as; None: `failure` says why
    clock_difference  gateway minus this machine, whole seconds
    time_zone         of the log-in, as the gateway names it
    """

    server_version: int
    client_id: int
    accounts: int
    symbol: str
    requested_type: int
    served_type: int | None
    server_time: datetime
    clock_difference: timedelta
    time_zone: str
    events: tuple[ApiEvent, ...]
    failure: Failure | None = None


def machine_clock() -> datetime:
    return datetime.now(UTC)
