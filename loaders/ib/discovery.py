"""Which contracts a session has of a symbol: candidates by option parameters, then those that exist."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal

from loaders.ib import expiries
from loaders.ib.service.gateway import (
    Candidate,
    ChainParams,
    OptionContract,
    Right,
    Underlying,
)
from loaders.ib.settings import IbSettings

RIGHTS: tuple[Right, ...] = ("C", "P")


@dataclass(frozen=True)
class Reference:
    """The price that strikes are chosen about."""

    price: Decimal
    price_date: date | None
    source: str


@dataclass
class Found:
    """What discovery knows of a symbol. `why` says what kept it from more; `unknown` counts candidates of
    which nobody said whether they exist."""

    symbol: str
    underlying: Underlying | None = None
    reference: Reference | None = None
    candidates: list[Candidate] = field(default_factory=list)
    contracts: list[OptionContract] = field(default_factory=list)
    discovered_at: datetime | None = None
    unknown: int = 0
    why: str | None = None


def candidates(
    symbol: str,
    underlying: Underlying,
    reference: Reference,
    params: Sequence[ChainParams],
    today: date,
    ib: IbSettings,
    impossible: Collection[tuple[str, date, Decimal, str]] = (),
) -> list[Candidate]:
    """What may be listed and is wanted, nearest expirations first; the lists of the parameters are unions."""
    found = []
    for chain in params:
        for expiry in expiries.chosen(chain.expirations, today, ib.expiry_types, ib.max_dte):
            for strike in strikes(chain.strikes, reference.price, ib):
                found += [
                    Candidate(symbol, underlying.conid, chain.trading_class, expiry, strike, right)
                    for right in RIGHTS
                    if (chain.trading_class, expiry, strike, right) not in impossible
                ]
    # two rows of parameters may name one class
    return sorted(set(found), key=lambda c: (c.expiry, c.trading_class, c.strike, c.right))


def strikes(listed: Sequence[Decimal], price: Decimal, ib: IbSettings) -> list[Decimal]:
    """The strikes within `strike_range`, both bounds included, or the nearest of these; ascending."""
    share = Decimal(str(ib.strike_range))
    near = (strike for strike in listed if abs(strike - price) <= price * share)
    nearest = sorted(near, key=lambda strike: (abs(strike - price), strike))
    return sorted(nearest[: ib.max_strikes_per_expiry])


def distances(found: Found) -> dict[Candidate, Decimal]:
    """How far each candidate's strike is from the money."""
    assert found.reference is not None
    return {c: abs(c.strike - found.reference.price) for c in found.candidates}
