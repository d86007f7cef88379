"""What the benches of all sources share: a quiet reporter, and queries of the warehouse."""

from dataclasses import dataclass, field
from typing import Any

import psycopg

from loaders.progress import Silent
from loaders.settings import Settings


@dataclass
class Heard(Silent):
    """Keeps the lines of a load's progress."""

    lines: list[str] = field(default_factory=list)

    def line(self, text: str) -> None:
        self.lines.append(text)


class WarehouseQueries:
    """Queries of the warehouse of `settings`."""

    settings: Settings

    def connect(self) -> psycopg.Connection:
        assert self.settings.warehouse_url is not None
        return psycopg.connect(self.settings.warehouse_url.get_secret_value())

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with self.connect() as conn:
            return conn.execute(query.encode(), values or None).fetchall()

    def execute(self, statement: str) -> None:
        with self.connect() as conn:
            conn.execute(statement.encode())
