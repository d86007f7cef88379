"""Whose series are in a store: one series follows the schedule of one warehouse.

A second warehouse would stamp the ticks of the first with its own segments, and take out what its
schedule has otherwise, without a word. So the first one to write a series becomes its owner, and any
other is refused until it takes the series over.
"""

import socket
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from loaders.errors import SettingsError
from loaders.ticks.store import Owner, TickStore

TAKE_OVER = "quotemill questdb take-over"


def label_of(warehouse: str, home: Path) -> str:
    """How people find the warehouse again; no secret."""
    return f"{warehouse}, home {home} on {socket.gethostname()}"


def foreign(store: TickStore, warehouse_id: str) -> dict[str, Owner]:
    """The series of other warehouses, by name."""
    return {o.symbol: o for o in store.owners() if o.warehouse_id != warehouse_id}


def claim(
    store: TickStore, warehouse_id: str, label: str, symbols: Iterable[str], at: datetime
) -> None:
    """Make the warehouse the owner of those series that have none.

    Raises SettingsError where one of them has another owner; then nothing is claimed.
    """
    wanted = set(symbols)
    require_own(store, warehouse_id, wanted)
    if fresh := sorted(wanted - {owner.symbol for owner in store.owners()}):
        store.put_owners([Owner(symbol, warehouse_id, label, at) for symbol in fresh])
        require_own(store, warehouse_id, wanted)  # of two that claim at once the last one has it


def require_own(store: TickStore, warehouse_id: str, symbols: Iterable[str]) -> None:
    """Raises SettingsError where one of the series belongs to another warehouse."""
    others = foreign(store, warehouse_id)
    if taken := [others[symbol] for symbol in sorted(symbols) if symbol in others]:
        raise SettingsError(
            f"{', '.join(owner.symbol for owner in taken)} in {store.label}: the ticks follow the "
            f"schedule of another warehouse ({taken[0].label}; since {taken[0].claimed_at:%Y-%m-%d})",
            hint="name a QuestDB of its own by QUOTEMILL_QUESTDB_URL; or, where this warehouse is in "
            f"place of that one: {TAKE_OVER} {' '.join(owner.symbol for owner in taken)}",
        )


def take_over(
    store: TickStore, warehouse_id: str, label: str, symbols: Iterable[str], at: datetime
) -> None:
    """Make the warehouse the owner of the series, whoever was."""
    store.put_owners([Owner(symbol, warehouse_id, label, at) for symbol in symbols])
