"""A warehouse, a simulated service and the loader between them, for tests to drive."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import Any

from loaders.engine.result import LoadResult
from loaders.sandbox.tdx.calls import Options
from loaders.sandbox.tdx.quote_answers import answer_request
from loaders.sandbox.tdx.quote_server import QuoteServer, Temper
from loaders.sandbox.tdx.service import TdxSandbox
from loaders.sandbox.world.actions import actions_csv
from loaders.sandbox.world.world import World
from loaders.settings import Settings, load_settings
from loaders.trading_time import SHANGHAI
from tests.bench import Heard, LoadBench

KLINES = """
    select code, trade_date, open, high, low, close, volume, amount, is_final
    from raw_tdx.kline_daily order by code, trade_date
"""


# what is cheap to load; a test names further datasets, or None for the defaults of the mode
CORE = ("codes", "trading_calendar", "kline_daily", "index_kline", "corporate_actions")


@dataclass
class Bench(LoadBench):
    """Loads from the sandbox, and queries of the warehouse.

    `load`: run a load with the given request, at the sandbox's clock or another.
    `rows`: query the warehouse.
    `datasets`: what a load reads whose request names no datasets
    """

    sandbox: TdxSandbox
    settings: Settings
    heard: Heard
    datasets: tuple[str, ...] = CORE

    def load(
        self,
        *,
        codes: Sequence[str] | None = None,
        clock: datetime | None = None,
        **request: Any,
    ) -> LoadResult:
        as_of = (clock or self.sandbox.clock).replace(tzinfo=SHANGHAI)
        by_code = tuple(name for name in self.datasets if name != "index_kline")
        request.setdefault("datasets", by_code if codes else self.datasets)
        return self.run("tdx", as_of=as_of, keys=codes and tuple(codes), **request)

    def klines(self) -> list[tuple[Any, ...]]:
        return self.rows(KLINES)


def settings_for(url: str, dsn: str, home: Path, **tdx: Any) -> Settings:
    """Quick retries and no patience: a test that waits is a test that is wrong."""
    quick = {"backoff": 0.0, "indices": ["sh000001"]}
    quick |= {"minute_days": 3, "tick_days": 2}
    return load_settings(
        {"QUOTEMILL_WAREHOUSE_URL": dsn, "QUOTEMILL_HOME": str(home)},
        cwd=home,
        tdx=quick | {"base_url": url} | tdx,
    )


@contextmanager
def bench(
    world: World,
    dsn: str,
    home: Path,
    *,
    clock: Any = None,
    faults: Any = (),
    build: str = "2025-11",
    tempers: Sequence[Temper] = (),
    **tdx: Any,
) -> Iterator[Bench]:
    """Serve `world`, with its corporate actions in a file that the settings name.

    tempers: of quote servers that are asked instead of the service
    """
    actions = home / "actions.csv"
    actions.write_text(actions_csv(world.all_actions()), "utf-8")
    options = Options(timeout_delay=0.0, build=build)
    with ExitStack() as stack:
        sandbox = TdxSandbox(world, clock=clock, faults=faults, options=options)
        stack.enter_context(sandbox)
        if tempers:
            answer = partial(answer_request, sandbox.state)
            servers = [stack.enter_context(QuoteServer(answer, temper)) for temper in tempers]
            named = [f"{host}:{port}" for host, port in (s.address for s in servers)]
            tdx = {"base_url": None, "servers": named, "requests_per_second": 1e6} | tdx
        settings = settings_for(
            sandbox.url, dsn, home, **({"corporate_actions": str(actions)} | tdx)
        )
        yield Bench(sandbox, settings, Heard())


def days_until(world: World) -> list[date]:
    """The trading days up to where the world's clock stands by default."""
    return [day for day in world.days if day <= world.end.date()]
