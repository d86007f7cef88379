"""What people are told of the tick store: which one it is, what it holds, what is wrong with it."""

from contextlib import closing
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from loaders.errors import QuotemillError
from loaders.settings import Settings
from loaders.warehouse.ownership import has_relation
from loaders.warehouse.postgres import Warehouse

if TYPE_CHECKING:
    from loaders.ticks.store import Held

# loaders.ticks.tables.DAY_INDEX, whose module is too heavy for those who keep no ticks
INDEX = "ticks.ghtrader_symbol_day_index_v2"


@dataclass(frozen=True)
class TickStoreSeen:
    """`held` is None where the store did not tell; `problems` are (what is wrong, the mend); `error` is
    why nobody could look, already among them."""

    label: str
    held: "Held | None"
    problems: list[tuple[str, str]]
    error: QuotemillError | None = None

    def as_json(self) -> dict[str, Any]:
        held = asdict(self.held) if self.held else {}
        return {"store": self.label, **held, "problems": [wrong for wrong, _ in self.problems]}

    def __str__(self) -> str:
        if self.held is None:
            return f"{self.label}: not known"
        if not self.held.days:
            return f"{self.label}: no ticks yet"
        return (
            f"{self.label}: {self.held.ticks:,} on {self.held.days:,} days of {self.held.series} series, "
            f"up to {self.held.last_day}"
        )


def is_used(settings: Settings, warehouse: Warehouse | None) -> bool:
    """Is a store named, or are ticks kept in the warehouse?"""
    if settings.questdb_url is not None:
        return True
    if warehouse is None:
        return False
    with warehouse.connect() as conn:
        return has_relation(conn, INDEX)


def look(settings: Settings, warehouse: Warehouse | None) -> TickStoreSeen:
    """Look at the store that the settings name: an open warehouse, or a QuestDB."""
    from loaders.ticks.open_store import described, open_questdb, open_store

    label = "the tick store"
    try:
        label = described(settings)
        opened = open_store(settings, warehouse) if warehouse else open_questdb(settings)
        with closing(opened) as store:
            problems = [(wrong, mend) for wrong, _, mend in map(_parted, store.check())]
            return TickStoreSeen(label, store.held(), problems)
    except QuotemillError as error:
        return TickStoreSeen(label, None, [(str(error), error.hint)], error)


def _parted(problem: str) -> tuple[str, str, str]:
    return problem.rpartition(": ")
