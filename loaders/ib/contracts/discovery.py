"""Contracts of a symbol in a session: candidates by option parameters, then those that exist."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal

from loaders.ib.client.values import (
    Candidate,
    ChainParams,
    OptionContract,
    Right,
    Underlying,
)
from loaders.ib.contracts import expiries
from loaders.ib.settings import IbSettings

RIGHTS: tuple[Right, ...] = ("C", "P")


@dataclass(frozen=True)
class Reference:
    """The price that strikes are chosen about."""

    price: Decimal
    price_date: date | None
    source: str


@dataclass
class Discovery:
    """Discovered facts of a symbol.

    impossible     candidates that do not exist
    further        may be listed too, nearest strikes first: replaces candidates that do not exist
    unresolved     whether candidates may exist that could not be looked up
    failure        why discovery got no further
    """

    symbol: str
    underlying: Underlying | None = None
    reference: Reference | None = None
    candidates: list[Candidate] = field(default_factory=list)
    further: list[Candidate] = field(default_factory=list)
    contracts: list[OptionContract] = field(default_factory=list)
    impossible: list[Candidate] = field(default_factory=list)
    discovered_at: datetime | None = None
    unresolved: bool = False
    failure: str | None = None


def choose_candidates(
    underlying: Underlying,
    reference: Reference,
    *,
    params: Sequence[ChainParams],
    today: date,
    ib: IbSettings,
    impossible: Collection[tuple[str, date, Decimal, str]] = (),
) -> tuple[list[Candidate], list[Candidate]]:
    """Candidates, nearest expirations first, and the rest in range, nearest strikes first.

    The lists of the parameters are unions: not every candidate exists.
    """
    wanted, further = set[Candidate](), dict[Candidate, None]()
    for chain in params:
        for expiry in expiries.choose(
            chain.expirations,
            today,
            kinds=ib.expiry_types,
            max_dte=ib.max_dte,
            index=underlying.symbol if underlying.is_index else None,
        ):
            near: list[list[Candidate]] = []
            for strike in strikes_in_range(chain.strikes, reference.price, ib.strike_range):
                pair = [
                    make_candidate(underlying, chain, expiry=expiry, strike=strike, right=right)
                    for right in RIGHTS
                    if (chain.trading_class, expiry, strike, right) not in impossible
                ]
                if pair:
                    near.append(pair)
            wanted.update(c for pair in near[: ib.max_strikes_per_expiry] for c in pair)
            if ib.max_strikes_per_expiry is not None:
                rest = near[ib.max_strikes_per_expiry :]
                further |= dict.fromkeys(c for pair in rest for c in pair)
    # two rows of parameters may name one class
    return (
        sorted(wanted, key=lambda c: (c.expiry, c.trading_class, c.strike, c.right)),
        [c for c in further if c not in wanted],
    )


def make_candidate(
    underlying: Underlying, chain: ChainParams, *, expiry: date, strike: Decimal, right: Right
) -> Candidate:
    return Candidate(
        symbol=underlying.symbol,
        underlying_conid=underlying.conid,
        trading_class=chain.trading_class,
        expiry=expiry,
        strike=strike,
        right=right,
        underlying_route=underlying.route,
    )


def strikes_in_range(
    listed: Sequence[Decimal], price: Decimal, strike_range: float
) -> list[Decimal]:
    """The strikes within the range, both bounds included; nearest first."""
    share = Decimal(str(strike_range))
    near = (strike for strike in listed if abs(strike - price) <= price * share)
    return sorted(near, key=lambda strike: (abs(strike - price), strike))


def take_replacements(discovery: Discovery, impossible: Iterable[Candidate]) -> list[Candidate]:
    """The next nearest strikes of each chain, as many as do not exist; they leave `further`.

    A strike does not exist where neither its call nor its put does.
    """
    refused = set(impossible)
    gone = {_strike(c) for c in refused} - {
        _strike(c) for c in discovery.candidates if c not in refused
    }
    places = Counter((trading_class, expiry) for trading_class, expiry, _ in gone)
    taken = set[tuple[str, date, Decimal]]()
    for strike in map(_strike, discovery.further):
        if strike not in taken and places[strike[:2]] > 0:
            places[strike[:2]] -= 1
            taken.add(strike)
    more = [c for c in discovery.further if _strike(c) in taken]
    discovery.further = [c for c in discovery.further if _strike(c) not in taken]
    return more


def _strike(candidate: Candidate) -> tuple[str, date, Decimal]:
    return candidate.trading_class, candidate.expiry, candidate.strike
