"""Dataset `session_contract`: the set of contracts of a session, frozen once; later ones are added.

Beside them land the combinations that do not exist, for the session.

Where discovery failed the newest older set stands in, as `discovery_stale`; contracts that are
found afterwards are added.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from operator import itemgetter
from typing import Any

from loaders.engine.outcome import Outcome
from loaders.engine.source import Keys
from loaders.ib.client.error_codes import NO_CONTRACT, read_codes
from loaders.ib.client.values import Candidate, OptionContract
from loaders.ib.context import Context, Dataset
from loaders.ib.contracts.discovery import Discovery
from loaders.ib.planning.due import named_day
from loaders.ib.queries import landed
from loaders.ib.slots import require_session
from loaders.ib.tables import NEGATIVE_CONTRACT, SESSION_CONTRACT

FREEZE, REFRESH = "session_freeze", "midday_refresh"


def fetch(ctx: Context, symbols: Sequence[str]) -> Iterator[Outcome]:
    for symbol in symbols:
        discovery = ctx.discoveries[symbol]
        if discovery.failure is not None or not discovery.contracts:
            none = (
                "no contracts could be looked up" if discovery.unresolved else "no contracts exist"
            )
            outcome = _use_older_set(ctx, symbol, discovery.failure or none)
        else:
            outcome = _freeze(ctx, symbol, discovery)
        yield replace(outcome, beside=[_make_negative(ctx, c) for c in discovery.impossible])


def _freeze(ctx: Context, symbol: str, discovery: Discovery) -> Outcome:
    day, refresh = named_day(ctx.load.request), ctx.load.request.options.get("refresh")
    policies = ctx.ask(lambda conn: landed.read_policies(conn, day, symbol))
    at = discovery.discovered_at or ctx.now()
    session = require_session(day)
    # a set that was frozen before the open is wanted in every slot
    first_slot = next((s.index for s in session.slots if s.at > at), len(session.slots))
    common = {
        "trade_date": day,
        "discovered_at": at,
        "first_seen_slot": first_slot if at > session.open_at else None,
        "source_route": "contract_details",
    } | ctx.lineage
    if (reference := discovery.reference) is not None:
        common |= {
            "ref_price": reference.price,
            "ref_price_date": reference.price_date,
            "ref_price_source": reference.source,
        }
    new = [contract for contract in discovery.contracts if contract.conid not in policies]
    if new and at > session.open_at and not refresh:
        has_slot = first_slot < len(session.slots)
        until = session.slots[first_slot].label if has_slot else "the close"
        ctx.load.warn(
            f"{symbol}: {len(new):,} contracts were found after the open. Slots before "
            f"{until} do not have them"
        )
    # candidates without an answer are looked up again
    cursor = None if discovery.unresolved else refresh or f"{day}"
    policy = REFRESH if refresh and policies else FREEZE
    rows = [common | _identify(c) | {"policy": policy} for c in new]
    return Outcome(symbol, rows, cursor=cursor)


def _use_older_set(ctx: Context, symbol: str, why: str) -> Outcome:
    """The newest older set, less what has expired; a set that the session has stays."""
    day = named_day(ctx.load.request)
    chain = ctx.chains(day, [symbol]).get(symbol)
    if chain is None:
        return Outcome(symbol, failure=f"{why}. No older set of contracts is recent enough to use")
    if not chain.is_stale:
        return Outcome(symbol, failure=why)
    common = {
        "trade_date": day,
        "discovered_at": ctx.now(),
        "policy": landed.STALE,
        "stale_from_date": chain.set_date,
        "source_route": "older_set",
    } | ctx.lineage
    rows = [common | _identify(contract) for contract in chain.contracts]
    return Outcome(symbol, rows, failure=f"{why}. Using the contracts of {chain.set_date}")


def _make_negative(ctx: Context, candidate: Candidate) -> dict[str, Any]:
    return {
        "trade_date": named_day(ctx.load.request),
        "symbol": candidate.symbol,
        "trading_class": candidate.trading_class,
        "expiry": candidate.expiry,
        "strike": candidate.strike,
        "option_right": candidate.right,
        "refused_at": ctx.now(),
        "error_code": next(r.code for r in read_codes() if r.error_type == NO_CONTRACT),
        "source_route": "contract_details",
    } | ctx.lineage


def _identify(contract: OptionContract) -> dict[str, Any]:
    return {"conid": contract.conid, "symbol": contract.symbol}


DATASET = Dataset(
    "session_contract",
    SESSION_CONTRACT,
    "contract_details",
    fetch,
    beside=NEGATIVE_CONTRACT,
    keys=Keys(row_key=itemgetter("symbol")),
    recurs=False,
)
