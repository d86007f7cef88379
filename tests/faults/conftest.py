"""One small market, loaded by commands in processes of their own."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from loaders.sandbox.tdx.calls import Options
from loaders.sandbox.tdx.service import TdxSandbox
from loaders.sandbox.world.actions import actions_csv
from loaders.sandbox.world.market import SyntheticMarket
from tests.faults.scene import Scene
from tests.homes import new_home

OpenScene = Callable[..., Scene]


@pytest.fixture(scope="session")
def market() -> SyntheticMarket:
    """The smallest market with every kind of code and event."""
    return SyntheticMarket(codes=12, days=60, seed=3)


@pytest.fixture(scope="session")
def days(market: SyntheticMarket) -> list[date]:
    """Its trading days up to where its clock stands by default."""
    return [day for day in market.days if day <= market.end.date()]


@pytest.fixture(scope="module")
def actions_file(market: SyntheticMarket, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The market's corporate actions; one place for all, as rows name the file they came from."""
    path = tmp_path_factory.mktemp("actions") / "actions.csv"
    path.write_text(actions_csv(market.all_actions()), "utf-8")
    return path


@pytest.fixture(scope="module")
def open_scene(
    new_database: Callable[[], str],
    market: SyntheticMarket,
    actions_file: Path,
) -> Iterator[OpenScene]:
    """A scene with an empty warehouse, or with the one of `dsn`."""
    with ExitStack() as stack:

        def open_(
            *, clock: Any = None, faults: Any = (), dsn: str | None = "", **env: str
        ) -> Scene:
            home = stack.enter_context(new_home())
            sandbox = stack.enter_context(
                TdxSandbox(market, clock=clock, faults=faults, options=Options(timeout_delay=0.0))
            )
            settings = {"QUOTEMILL_TDX__CORPORATE_ACTIONS": str(actions_file)} | env
            return Scene(home, sandbox, new_database() if dsn == "" else dsn, settings)

        yield open_


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """What the matrices counted, in a few lines at the end."""
    figures = [
        value
        for outcome in ("passed", "failed")
        for report in terminalreporter.stats.get(outcome, [])
        for name, value in getattr(report, "user_properties", [])
        if name == "figures" and report.when == "call"
    ]
    if figures:
        terminalreporter.section("fault matrices")
        for line in figures:
            terminalreporter.write_line(line)
