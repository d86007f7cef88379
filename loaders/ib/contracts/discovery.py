"""Which contracts a session has of a symbol: candidates by option parameters, then those that exist."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal

from loaders.ib.client.gateway import Candidate, ChainParams, OptionContract, Right, Underlying
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
class Found:
    """What discovery knows of a symbol. `further` may be listed too, nearest strikes first: they take the places
    of candidates that do not exist. `why` says what kept it from more; `unknown` counts candidates of which nobody
    said whether they exist."""

    symbol: str
    underlying: Underlying | None = None
    reference: Reference | None = None
    candidates: list[Candidate] = field(default_factory=list)
    further: list[Candidate] = field(default_factory=list)
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
) -> tuple[list[Candidate], list[Candidate]]:
    """What may be listed and is wanted, nearest expirations first, and what is in the range too, nearest strikes
    first; the lists of the parameters are unions."""
    wanted, further = set[Candidate](), dict[Candidate, None]()
    for chain in params:
        for expiry in expiries.chosen(chain.expirations, today, ib.expiry_types, ib.max_dte):
            near = [
                found
                for strike in strikes(chain.strikes, reference.price, ib.strike_range)
                if (
                    found := [
                        Candidate(
                            symbol, underlying.conid, chain.trading_class, expiry, strike, right
                        )
                        for right in RIGHTS
                        if (chain.trading_class, expiry, strike, right) not in impossible
                    ]
                )
            ]
            wanted.update(c for of_strike in near[: ib.max_strikes_per_expiry] for c in of_strike)
            if ib.max_strikes_per_expiry is not None:
                rest = near[ib.max_strikes_per_expiry :]
                further |= dict.fromkeys(c for of_strike in rest for c in of_strike)
    # two rows of parameters may name one class
    return (
        sorted(wanted, key=lambda c: (c.expiry, c.trading_class, c.strike, c.right)),
        [c for c in further if c not in wanted],
    )


def strikes(listed: Sequence[Decimal], price: Decimal, strike_range: float) -> list[Decimal]:
    """The strikes within the range, both bounds included; nearest first."""
    share = Decimal(str(strike_range))
    near = (strike for strike in listed if abs(strike - price) <= price * share)
    return sorted(near, key=lambda strike: (abs(strike - price), strike))


def replacements(found: Found, impossible: Iterable[Candidate]) -> list[Candidate]:
    """As many strikes of each chain as do not exist, the next nearest; they leave `further`.

    A strike does not exist where neither its call nor its put does.
    """
    refused = set(impossible)
    gone = {_strike(c) for c in refused} - {
        _strike(c) for c in found.candidates if c not in refused
    }
    places = Counter((trading_class, expiry) for trading_class, expiry, _ in gone)
    taken = set[tuple[str, date, Decimal]]()
    for strike in map(_strike, found.further):
        if strike not in taken and places[strike[:2]] > 0:
            places[strike[:2]] -= 1
            taken.add(strike)
    more = [c for c in found.further if _strike(c) in taken]
    found.further = [c for c in found.further if _strike(c) not in taken]
    return more


def _strike(candidate: Candidate) -> tuple[str, date, Decimal]:
    return candidate.trading_class, candidate.expiry, candidate.strike


def distances(found: Found) -> dict[Candidate, Decimal]:
    """How far each candidate's strike is from the money."""
    assert found.reference is not None
    return {c: abs(c.strike - found.reference.price) for c in found.candidates}
