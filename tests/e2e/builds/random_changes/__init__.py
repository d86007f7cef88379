"""Changes of landed tables, settings and seeds, chosen by a seed, over a small warehouse."""

import random
from collections.abc import Callable

import psycopg

from tests.e2e.builds.random_changes.futures import FuturesChanges, land_futures
from tests.e2e.builds.random_changes.market import MarketChanges, land_market
from tests.e2e.builds.random_changes.options import OptionChanges
from tests.e2e.builds.random_changes.seeds import SeedChanges

__all__ = ["Changes", "land_futures", "land_market"]
# half of the models are those of stocks
SOURCES = (MarketChanges, MarketChanges, OptionChanges, FuturesChanges, SeedChanges)


class Changes:
    """One change after the other, each with the feed that a load leaves."""

    def __init__(self, conn: psycopg.Connection, seed: int) -> None:
        self.random = random.Random(seed)
        self.sources = [source(conn, self.random) for source in SOURCES]

    def make(self) -> str:
        """Make one change; its name."""
        source = self.random.choice(self.sources)
        change: Callable[[], None] = getattr(source, self.random.choice(source.kinds))
        change()
        return change.__name__
