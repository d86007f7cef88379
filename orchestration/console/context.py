"""The context of every route: settings and warehouse of the moment, commands, limits, the clock."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import psycopg

from loaders.settings import Settings, load_settings
from loaders.warehouse.postgres import find_current_warehouse
from orchestration.console.access import Access
from orchestration.console.limits import Limits
from orchestration.console.processes import Commands, Spawn, Spawner
from orchestration.console.reading import Readers
from quotemill.errors import SettingsError
from quotemill.warehouse.postgres import Warehouse

T = TypeVar("T")
FOLDER = "console"  # of the home


@dataclass
class Console:
    """One console: a home, the folder that its commands run in, and the time.

    environ: variables of this process, which its commands get too
    clock: the time, UTC
    as_of: a time given by hand, with its offset, which is passed to the commands that take one
    """

    cwd: Path
    environ: Mapping[str, str]
    clock: Callable[[], datetime]
    as_of: str | None = None
    limits: Limits = field(default_factory=Limits)
    spawn: Spawn = field(default_factory=Spawner)
    readers: Readers = field(init=False)
    commands: Commands = field(init=False)
    access: Access = field(init=False)

    def __post_init__(self) -> None:
        folder = self.settings().home / FOLDER
        self.readers = Readers(self.limits.statement)
        self.access = Access(folder)
        self.commands = Commands(
            folder / "commands",
            self.cwd,
            self.environ,
            self.limits.processes,
            self.spawn,
        )

    def settings(self) -> Settings:
        """The settings of this moment. Raises SettingsError."""
        return load_settings(self.environ, self.cwd)

    @property
    def at(self) -> datetime | None:
        """The time given by hand."""
        return datetime.fromisoformat(self.as_of) if self.as_of else None

    @property
    def now(self) -> datetime:
        """The time that the state is shown as of, in UTC."""
        return (self.at or self.clock()).astimezone(UTC)

    def find_warehouse(self) -> Warehouse | None:
        """The warehouse for reading; None before the first load."""
        return self.readers.find(self.settings())

    def require_warehouse(self) -> Warehouse:
        """The warehouse for reading. Raises SettingsError before the first load."""
        warehouse = self.find_warehouse()
        if warehouse is None:
            raise SettingsError("no warehouse exists yet", hint="Run a load to create it.")
        return warehouse

    def open_warehouse(self) -> Warehouse:
        """The warehouse for writing. Raises SettingsError before the first load."""
        warehouse = find_current_warehouse(self.settings())
        if warehouse is None:
            raise SettingsError("nothing was loaded yet", hint="Run a load.")
        return warehouse

    def read(self, work: Callable[[psycopg.Connection], T]) -> T:
        """One piece of reading in one transaction, without waiting for a warehouse that is away."""
        return self.require_warehouse().ask(work, patient=False)

    def read_any(self, work: Callable[[psycopg.Connection], T]) -> T | None:
        """As `read`; None before the first load."""
        warehouse = self.find_warehouse()
        return None if warehouse is None else warehouse.ask(work, patient=False)
