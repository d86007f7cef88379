"""The state of the tick store: its name, what it holds and its problems."""

from contextlib import closing
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from loaders.check import Check, failed
from loaders.settings import Settings
from quotemill.errors import QuotemillError
from quotemill.warehouse.postgres import Warehouse

if TYPE_CHECKING:
    from loaders.ticks.store import StoreSummary


@dataclass(frozen=True)
class TickStoreState:
    """The state of a tick store.

    summary  None if the store did not answer
    checks   a row if all is well, else one for each problem
    error    why the store could not be read; also among the checks
    """

    label: str
    summary: "StoreSummary | None"
    checks: list[Check]
    error: QuotemillError | None = None

    def as_json(self) -> dict[str, Any]:
        summary = asdict(self.summary) if self.summary else {}
        problems = [check.sentence for check in self.checks if check.verdict != "ok"]
        return {"store": self.label, **summary, "problems": problems}

    def __str__(self) -> str:
        if self.summary is None:
            return f"{self.label}: unknown"
        if not self.summary.days:
            return f"{self.label}: no ticks yet"
        return (
            f"{self.label}: {self.summary.ticks:,} ticks on {self.summary.days:,} days of "
            f"{self.summary.series} series, up to {self.summary.last_day}"
        )


def is_used(settings: Settings) -> bool:
    """Whether the settings name a server, or a load has started the one of the home."""
    return not settings.has_own_questdb or (settings.home / "questdb").exists()


def read_state(settings: Settings, warehouse: Warehouse | None) -> TickStoreState:
    """Read the state of the store in the settings; starts nothing."""
    from loaders.ticks.open_store import open_store, store_label

    label = "the tick store"
    try:
        label = store_label(settings)
        with closing(open_store(settings, warehouse)) as store:
            checks = store.check() or [Check("tick store", "ok", label)]
            return TickStoreState(label, store.summary(), checks)
    except QuotemillError as error:
        return TickStoreState(label, None, [failed("tick store", error)], error)
