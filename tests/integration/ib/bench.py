"""A warehouse, a simulated gateway, the real client and the loader between them."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from loaders.engine.load import Load
from loaders.engine.request import LoadRequest
from loaders.engine.result import LoadResult
from loaders.ib import source
from loaders.ib.slots import NEW_YORK
from loaders.loads import try_load
from loaders.sandbox.faults import Rule
from loaders.sandbox.ib.service import IbSandbox
from loaders.sandbox.ib.splits import Split
from loaders.sandbox.ib.world import World
from loaders.settings import Settings, load_settings
from quotemill.errors import NotDue
from tests.bench import Heard, LoadBench
from tests.requirements import require_ib

# two strikes an expiry, of three months; no pause of the real clock
QUICK: dict[str, Any] = {
    "stage": 1,
    "max_strikes_per_expiry": 2,
    "max_dte": 60,
    "max_concurrent_snapshots": 14,
    "rate_limits": {"snapshot": {"per_minute": 6000}},
    "quote_timeout": 2.0,
    "settle": 0.05,
}
# a gateway allows 50 messages a second, which costs a test a second for 20 contracts; the tests of
# the client against the gateway (tests/faults/ib_service) stay below it
MESSAGES_A_SECOND = 2_000
# columns that say when and by which run a row came
LINEAGE = ("fetched_at", "source_route", "_dlt_load_id", "ingest_id", "is_final")


@dataclass
class SandboxTime:
    """The sandbox's clock, which pauses move; `pauses` are the long ones."""

    sandbox: IbSandbox
    pauses: list[float] = field(default_factory=list)
    # of short pauses: rows that differ by them would not be comparable
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self._start = self.sandbox.clock

    def monotonic(self) -> float:
        return self.seconds + (self.sandbox.clock - self._start).total_seconds()

    def pause(self, seconds: float) -> None:
        if seconds < 1:
            self.seconds += seconds
        else:
            self.pauses.append(seconds)
            self.sandbox.set_clock(self.sandbox.clock + timedelta(seconds=seconds))

    def until(self, at: datetime, now: Callable[[], datetime]) -> None:
        self.pause(max((at - now()).total_seconds(), 0.0))


@dataclass
class Bench(LoadBench):
    """`load` runs a task at the sandbox's clock, `at` moves it, `rows` asks the warehouse."""

    sandbox: IbSandbox
    settings: Settings
    time: SandboxTime
    heard: Heard

    def at(self, moment: str) -> "Bench":
        self.sandbox.set_clock(moment)
        return self

    def load(
        self,
        task: str,
        *,
        symbols: Sequence[str] | None = None,
        as_of: datetime | None = None,
        retry: bool = False,
        on_start: Callable[[Load], None] = lambda _: None,
        **options: str,
    ) -> LoadResult:
        how: dict[str, Any] = {"as_of": as_of, "retry": retry, "on_start": on_start}
        keys = tuple(symbols) if symbols else None
        return self.run("ib", mode=task, keys=keys, options=options, **how)

    def due(self) -> list[LoadResult]:
        """What `loaders run ib` does at this minute."""
        request = LoadRequest("ib")
        try:
            parts = source.SOURCE.requests.parts(self.settings, request, None)
        except NotDue as why:
            self.heard.line(str(why))
            return []
        results: list[LoadResult] = []
        for part in parts:
            # one that finds no gateway is a result, too
            results.append(try_load(self.settings, part, lambda: nullcontext(self.heard)))
            if results[-1].ends_source:
                break
        return results

    def table(self, name: str) -> list[dict[str, Any]]:
        """All rows of a landed table, without what says when and by which run they came."""
        with self.connect() as conn:
            cursor = conn.execute(f"select * from raw_ib.{name}".encode())
            names = [column.name for column in cursor.description or ()]
            rows = [dict(zip(names, row, strict=True)) for row in cursor]
        compared = [{k: v for k, v in row.items() if k not in LINEAGE} for row in rows]
        return sorted(compared, key=str)

    def with_settings(self, **ib: Any) -> "Bench":
        """The same place under other settings."""
        changed = self.settings.ib.model_copy(update=ib)
        return replace(self, settings=self.settings.model_copy(update={"ib": changed}))


@contextmanager
def bench(
    dsn: str,
    home: Path,
    *,
    symbols: Sequence[str] = ("AAPL", "MSFT"),
    clock: str = "2026-11-19T09:25:00",
    faults: Sequence[Rule | str] = (),
    splits: Sequence[Split] = (),
    zone: str = "America/New_York",
    **ib: Any,
) -> Iterator[Bench]:
    """Serve a small market. Pauses move the sandbox's clock and take no time."""
    require_ib()
    home.mkdir(exist_ok=True)
    environment = {"QUOTEMILL_WAREHOUSE_URL": dsn, "QUOTEMILL_HOME": str(home)}
    market = World(list(symbols), splits=splits)
    with (
        IbSandbox(market, faults, clock, messages_a_second=MESSAGES_A_SECOND, zone=zone) as sandbox,
        pytest.MonkeyPatch.context() as p,
    ):
        time = SandboxTime(sandbox)
        passed = partial(source.open_context, waits=lambda _: time)
        p.setattr(source, "SOURCE", replace(source.SOURCE, open=passed))
        settings = load_settings(environment, cwd=home, ib=sandbox.settings() | QUICK | ib)
        made = Bench(sandbox, settings, time, Heard())
        most = ib.get("messages_per_second", MESSAGES_A_SECOND)
        yield made.with_settings(messages_per_second=most)


def write_universe(folder: Path, symbols: Sequence[str], groups: str = "A") -> Path:
    """A file with these symbols, the heaviest first, in groups by turns."""
    file, count = folder / "universe.csv", len(groups)
    lines = (f"{name},{99 - n},{groups[n % count]},true" for n, name in enumerate(symbols))
    file.write_text("\n".join(["symbol,weight,group,enabled", *lines]))
    return file


def new_york(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=NEW_YORK).astimezone(UTC)
