"""Dataset `contract`: options that were found to exist; beside them those that do not, for the session.

A contract that is known is not looked up again, unless it was silent or refused when it was captured last: one
that does not exist any more leaves the known ones, and comes back where it is found again. Discovery asks for
parameters and candidates before (loaders.ib.planning.plan), for all symbols, so that what does not fit a slot is left out
first. The lists of strikes are unions over the expirations: where only some of the nearest are wanted, the next
nearest take the places of those that do not exist.
"""

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

from loaders.engine.outcome import Outcome, records
from loaders.errors import UpstreamError
from loaders.ib.capture import silent_contracts
from loaders.ib.client.error_codes import AMBIGUOUS, ERROR_CODES, GATEWAY_GONE, NO_CONTRACT
from loaders.ib.client.gateway import Candidate, Failure, OptionContract, Qualified
from loaders.ib.context import Context, Dataset
from loaders.ib.contracts.discovery import Found, replacements
from loaders.ib.planning import stored
from loaders.ib.planning.request import day_of
from loaders.ib.tables import CONTRACT, NEGATIVE_CONTRACT

NO_SUCH = next(row.code for row in ERROR_CODES if row.error_type == NO_CONTRACT)
FOR_GOOD = (AMBIGUOUS, "invalid_request")


def fetch(run: Context, symbols: Sequence[str]) -> Iterator[Outcome]:
    for symbol in symbols:
        yield _qualified(run, symbol, run.found[symbol])


def _qualified(run: Context, symbol: str, found: Found) -> Outcome:
    if found.why is not None:
        return Outcome(symbol, failure=found.why)
    day = day_of(run.load.request)
    known = run.ask(lambda conn: stored.known_contracts(conn, symbol, day))
    doubted = run.ask(lambda conn: silent_contracts.suspects(conn, symbol, day))
    qualified, unknown, more = Qualified(), set[Candidate](), found.candidates
    try:
        while asked := [c for c in more if c not in known or known[c].conid in doubted]:
            answered = run.gateway.qualify(asked)
            unknown.update(asked)
            qualified.contracts.extend(answered.contracts)
            qualified.impossible.extend(answered.impossible)
            qualified.failed.extend(answered.failed)
            if answered.failed or run.load.cancelling():
                break
            more = replacements(found, answered.impossible)
            found.candidates = found.candidates + more
    except UpstreamError as error:
        run.lose(error)
        if not unknown:
            found.why = str(error)
            return Outcome(symbol, failure=found.why)
        # what was answered before stands; the places of the others stay open until they are asked for again
        lost = Failure(GATEWAY_GONE, None, str(error))
        qualified.failed.extend((candidate, lost) for candidate in asked)
        unknown.update(asked)
    # of one that is doubted and about which nobody answered all stays as it is
    left = {candidate for candidate, _ in qualified.failed if candidate in known}
    kept = [known[c] for c in found.candidates if c in known and (c not in unknown or c in left)]
    found.contracts = sorted(
        [*kept, *qualified.contracts], key=lambda c: (c.expiry, c.strike, c.right, c.conid)
    )
    # what the gateway answered in a way that fits nothing would be answered so all day
    passing = [c for c, w in qualified.failed if w.error_type not in FOR_GOOD and c not in left]
    found.unknown, found.discovered_at = len(passing), run.now()
    failure = None
    if qualified.failed:
        _, why = qualified.failed[0]
        failure = f"{len(qualified.failed):,} contracts could not be looked up: {why.error_message}"
    seen = run.ask(lambda conn: stored.first_seen(conn, symbol))
    return Outcome(
        symbol,
        [_row(run, contract, seen.get(contract.conid, day)) for contract in qualified.contracts],
        cursor=day,
        failure=failure,
        beside=[_negative(run, candidate) for candidate in qualified.impossible],
    )


def _row(run: Context, contract: OptionContract, seen_on: date) -> dict[str, Any]:
    values = vars(contract) | {"option_right": contract.right}
    seen = {"first_seen_date": seen_on, "source_route": "contract_details"}
    return {k: v for k, v in values.items() if k != "right"} | seen | run.lineage


def _negative(run: Context, candidate: Candidate) -> dict[str, Any]:
    return {
        "trade_date": day_of(run.load.request),
        "symbol": candidate.symbol,
        "trading_class": candidate.trading_class,
        "expiry": candidate.expiry,
        "strike": candidate.strike,
        "option_right": candidate.right,
        "refused_at": run.now(),
        "error_code": NO_SUCH,
        "source_route": "contract_details",
    } | run.lineage


DATASET = Dataset(
    "contract",
    CONTRACT,
    "contract_details",
    fetch,
    records,
    key_of=lambda row: str(row["symbol"]),
    beside=NEGATIVE_CONTRACT,
)
