"""Dataset `contract`: options that exist; beside them the terms that one of them had before.

A known contract is not looked up again unless it was refused last, or brought nothing in a whole
session: one that no longer exists leaves the known ones, and comes back when it is found again.
Discovery asks for parameters and candidates first (loaders.ib.contracts.listing), for all symbols.
The lists of strikes are unions over the expirations: where only some of the nearest are wanted, the
next nearest replace those that do not exist. A contract without a number of its own, or without a
multiplier, is rejected by name.
"""

from collections.abc import Iterator, Sequence
from datetime import date
from operator import itemgetter
from typing import Any

from loaders.engine.outcome import Outcome
from loaders.engine.source import Keys
from loaders.ib.client.error_codes import GATEWAY_GONE
from loaders.ib.client.values import Candidate, Failure, OptionContract, Qualified
from loaders.ib.context import Context, Dataset
from loaders.ib.contracts.discovery import Discovery, take_replacements
from loaders.ib.contracts.identity import drop_shared_numbers, find_former, reject
from loaders.ib.planning.due import named_day
from loaders.ib.queries import landed
from loaders.ib.tables import CONTRACT, FORMER_CONTRACT, REJECTED_ROW
from loaders.landing.rejects import Rejected, open_rejects, withdraw_settled
from quotemill.errors import UpstreamError

NOT_LANDED = ("right", "underlying_route", "terms")


def fetch(ctx: Context, symbols: Sequence[str]) -> Iterator[Outcome]:
    for symbol in symbols:
        yield _qualify(ctx, symbol, ctx.discoveries[symbol])


def _qualify(ctx: Context, symbol: str, discovery: Discovery) -> Outcome:
    if discovery.failure is not None:
        return Outcome(symbol, failure=discovery.failure)
    day = named_day(ctx.load.request)
    known = ctx.ask(lambda conn: landed.read_known_contracts(conn, symbol, day))
    doubtful = ctx.ask(lambda conn: landed.read_doubtful(conn, symbol, day))
    qualified, looked_up, more = Qualified(), set[Candidate](), discovery.candidates
    try:
        while batch := [c for c in more if c not in known or known[c].conid in doubtful]:
            answer = ctx.gateway.qualify(batch)
            looked_up.update(batch)
            qualified.contracts.extend(answer.contracts)
            qualified.impossible.extend(answer.impossible)
            qualified.failed.extend(answer.failed)
            qualified.bad.extend(answer.bad)
            if len(answer.failed) == len(batch) or ctx.load.cancelling():
                break
            more = take_replacements(discovery, answer.impossible)
            discovery.candidates = discovery.candidates + more
    except UpstreamError as error:
        ctx.record_loss(error)
        lost = Failure(GATEWAY_GONE, None, str(error))
        if not looked_up:
            discovery.failure = str(error)
            discovery.unresolved = any(c not in known for c in batch)
            return Outcome(symbol, failure=discovery.failure)
        # earlier answers count; the places of the others stay open until they are looked up again
        qualified.failed.extend((candidate, lost) for candidate in batch)
        looked_up.update(batch)
    # a doubtful contract without an answer stays as it is
    unchanged = {candidate for candidate, _ in qualified.failed if candidate in known}
    still_known = [
        known[c]
        for c in discovery.candidates
        if c in known and (c not in looked_up or c in unchanged)
    ]
    taken = _find_taken(ctx, symbol, [c.conid for c in qualified.contracts])
    still_known, new, shared = drop_shared_numbers(
        still_known, qualified.contracts, taken, lambda several: _find_owner(ctx, several)
    )
    rejected = [reject(bad) for bad in (*qualified.bad, *shared)]
    for row in rejected:
        ctx.load.warn(f"contract {row.row_key}: {row.field} {row.value!r} {row.rule}")
    discovery.impossible = qualified.impossible
    discovery.contracts = sorted(
        [*still_known, *new], key=lambda c: (c.expiry, c.strike, c.right, c.conid)
    )
    unresolved = [why for candidate, why in qualified.failed if candidate not in unchanged]
    discovery.unresolved = bool(unresolved)
    failure = None
    if unresolved:
        many = f"{len(unresolved):,} contracts could not be looked up"
        failure = f"{many}: {unresolved[0].error_message}"
    discovery.discovered_at = ctx.now()
    before = ctx.ask(lambda conn: landed.read_terms(conn, [c.conid for c in new]))
    first_seen = {conid: terms["first_seen_date"] for conid, terms in before.items()}
    source = {"source_route": "contract_details"} | ctx.lineage
    return Outcome(
        symbol,
        [_make_row(ctx, c, first_seen.get(c.conid, day)) for c in new],
        rejected=[*rejected, *_withdraw_rejects(ctx, symbol, rejected, qualified)],
        cursor=day,
        failure=failure,
        beside=[row | source for row in find_former(new, before, day)],
    )


def _find_taken(ctx: Context, symbol: str, conids: Sequence[int]) -> dict[int, str]:
    """Those of the numbers that other symbols' contracts have, with the symbol."""
    before = ctx.ask(lambda conn: landed.read_terms(conn, conids))
    taken = {conid: row["symbol"] for conid, row in before.items() if row["symbol"] != symbol}
    others = (d for name, d in ctx.discoveries.items() if name != symbol)
    return taken | {c.conid: c.symbol for d in others for c in d.contracts if c.conid in conids}


def _find_owner(ctx: Context, contracts: Sequence[OptionContract]) -> OptionContract | None:
    try:
        return ctx.gateway.find_owner(contracts)
    except UpstreamError as error:
        ctx.record_loss(error)
        return None


def _withdraw_rejects(
    ctx: Context, symbol: str, rejected: Sequence[Rejected], qualified: Qualified
) -> list[Rejected]:
    """Rejected contracts of the symbol that discovery no longer meets, withdrawn."""
    stored = ctx.ask(lambda conn: open_rejects(conn, REJECTED_ROW, CONTRACT.name))
    is_complete = not qualified.failed
    return withdraw_settled(
        stored, rejected, lambda row: is_complete and row.row_key.startswith(f"{symbol} ")
    )


def _make_row(ctx: Context, contract: OptionContract, first_seen: date) -> dict[str, Any]:
    values = vars(contract) | {"option_right": contract.right}
    if contract.terms is not None:
        values |= vars(contract.terms)
    more = {"first_seen_date": first_seen, "source_route": "contract_details"}
    return {k: v for k, v in values.items() if k not in NOT_LANDED} | more | ctx.lineage


DATASET = Dataset(
    "contract",
    CONTRACT,
    "contract_details",
    fetch,
    beside=FORMER_CONTRACT,
    keys=Keys(row_key=itemgetter("symbol")),
)
