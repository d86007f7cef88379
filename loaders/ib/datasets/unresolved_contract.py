"""Dataset `unresolved_contract`: contracts that are listed and could not be looked up.

They are wanted in the session like those that could, and asked for again by each discovery of it.
"""

from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import Any

from loaders.engine.outcome import Outcome
from loaders.engine.source import Keys
from loaders.ib.client.values import Candidate
from loaders.ib.context import Context, Dataset
from loaders.ib.datasets.session_contract import make_candidate
from loaders.ib.planning.due import named_day
from loaders.ib.tables import UNRESOLVED_CONTRACT


def fetch(ctx: Context, symbols: Sequence[str]) -> Iterator[Outcome]:
    for symbol in symbols:
        discovery = ctx.discoveries[symbol]
        unresolved = discovery.unresolved
        if not discovery.contracts:  # an older set stands in: what it has is wanted by it
            chain = ctx.chains(named_day(ctx.load.request), [symbol]).get(symbol)
            listed = {c.candidate for c in chain.contracts} if chain else set()
            unresolved = {c: why for c, why in unresolved.items() if c not in listed}
        rows = [_make_row(ctx, c, why.error_type) for c, why in unresolved.items()]
        if discovery.failure is None:  # else nothing was asked about
            settled = [c for c in discovery.waiting if c not in unresolved]
            rows += [_make_row(ctx, candidate, None) for candidate in settled]
        yield Outcome(symbol, rows)


def _make_row(ctx: Context, candidate: Candidate, error_type: str | None) -> dict[str, Any]:
    return make_candidate(ctx, candidate) | {"asked_at": ctx.now(), "error_type": error_type}


DATASET = Dataset(
    "unresolved_contract",
    UNRESOLVED_CONTRACT,
    "contract_details",
    fetch,
    keys=Keys(row_key=itemgetter("symbol")),
    recurs=False,
)
