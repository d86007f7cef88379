"""Dataset `session_contract`: the set of contracts of a session, frozen once; what comes later is added.

Where discovery failed the newest older set stands in, as `discovery_stale`; what is found afterwards is added.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from loaders.engine.outcome import Outcome, records
from loaders.ib.client.gateway import OptionContract
from loaders.ib.context import Context, Dataset
from loaders.ib.contracts.discovery import Found
from loaders.ib.planning import stored
from loaders.ib.planning.day_tasks import oldest_set
from loaders.ib.planning.request import day_of
from loaders.ib.tables import SESSION_CONTRACT

FREEZE, REFRESH = "session_freeze", "midday_refresh"


def fetch(run: Context, symbols: Sequence[str]) -> Iterator[Outcome]:
    for symbol in symbols:
        found = run.found[symbol]
        if found.why is not None or not found.contracts:
            yield _stale(run, symbol, found.why or "no contract was found to exist")
        else:
            yield _frozen(run, symbol, found)


def _frozen(run: Context, symbol: str, found: Found) -> Outcome:
    day, refresh = day_of(run.load.request), run.load.request.options.get("refresh")
    have = run.ask(lambda conn: stored.frozen(conn, day, symbol))
    at = found.discovered_at or run.now()
    session = run.session(day)
    # of a set that was frozen before the open every slot is wanted
    later = next((s.index for s in session.slots if s.at > at), len(session.slots))
    common = {
        "trade_date": day,
        "discovered_at": at,
        "policy": REFRESH if refresh and have else FREEZE,
        "first_seen_slot": later if at > session.open_at else None,
        **_reference(found),
        "source_route": "contract_details",
    } | run.lineage
    new = [contract for contract in found.contracts if contract.conid not in have]
    rows = [common | _named(contract) for contract in new]
    if new and at > session.open_at and not refresh:
        until = session.slots[later].label if later < len(session.slots) else "the close"
        said = f"{symbol}: {len(new):,} contracts were found after the open; slots before {until} lack them"
        run.load.warn(said)
    # candidates that nobody answered about are asked for again
    cursor = None if found.unknown else refresh or f"{day}"
    return Outcome(symbol, rows, cursor=cursor)


def _stale(run: Context, symbol: str, why: str) -> Outcome:
    """The newest older set, less what has expired; where the session has one already that stays."""
    day = day_of(run.load.request)
    chain = run.ask(lambda conn: stored.chains(conn, day, oldest_set(day), [symbol])).get(symbol)
    if chain is None:
        return Outcome(symbol, failure=f"{why}; no older set of contracts can stand in")
    if not chain.is_stale:
        return Outcome(symbol, failure=why)
    common = {
        "trade_date": day,
        "discovered_at": run.now(),
        "policy": stored.STALE,
        "stale_from_date": chain.set_date,
        "source_route": "older_set",
    } | run.lineage
    rows = [common | _named(contract) for contract in chain.contracts]
    return Outcome(symbol, rows, failure=f"{why}; the contracts of {chain.set_date} stand in")


def _named(contract: OptionContract) -> dict[str, Any]:
    return {"conid": contract.conid, "symbol": contract.symbol}


def _reference(found: Found) -> dict[str, Any]:
    if found.reference is None:
        return {}
    return {
        "ref_price": found.reference.price,
        "ref_price_date": found.reference.price_date,
        "ref_price_source": found.reference.source,
    }


DATASET = Dataset(
    "session_contract",
    SESSION_CONTRACT,
    "contract_details",
    fetch,
    records,
    key_of=lambda row: str(row["symbol"]),
)
