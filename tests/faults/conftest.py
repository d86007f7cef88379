"""One small market, loaded by our commands."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from loaders.sandbox.tdx.calls import Options
from loaders.sandbox.tdx.service import TdxSandbox
from loaders.sandbox.world.actions import actions_csv
from loaders.sandbox.world.market import SyntheticMarket
from tests.faults import tally
from tests.faults.scene import Scene
from tests.forks import LOADS_NEED, preload
from tests.homes import new_home

OpenScene = Callable[..., Scene]
preload(*LOADS_NEED)


@pytest.fixture(autouse=True)
def _faults_are_counted(request: pytest.FixtureRequest) -> None:
    tally.follow(request.node.user_properties)


@pytest.fixture(scope="session")
def market() -> SyntheticMarket:
    """The smallest market with every kind of code and event."""
    return SyntheticMarket(codes=12, days=60, seed=3)


@pytest.fixture(scope="session")
def days(market: SyntheticMarket) -> list[date]:
    """Its trading days up to its default clock."""
    return [day for day in market.days if day <= market.end.date()]


@pytest.fixture(scope="session")
def actions_file(market: SyntheticMarket, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The market's corporate actions; in one place, as rows name their file."""
    path = tmp_path_factory.mktemp("actions") / "actions.csv"
    path.write_text(actions_csv(market.all_actions()), "utf-8")
    return path


@pytest.fixture(scope="session")
def new_scene(
    new_database: Callable[[], str], market: SyntheticMarket, actions_file: Path
) -> Callable[..., AbstractContextManager[Scene]]:
    """A scene with an empty warehouse, or with the warehouse of `dsn`."""

    @contextmanager
    def open_(
        *, clock: Any = None, faults: Any = (), dsn: str | None = "", **env: str
    ) -> Iterator[Scene]:
        options = Options(timeout_delay=0.0)
        settings = {"QUOTEMILL_TDX__CORPORATE_ACTIONS": str(actions_file)} | env
        with (
            new_home() as home,
            TdxSandbox(market, clock=clock, faults=faults, options=options) as sandbox,
        ):
            yield Scene(home, sandbox, new_database() if dsn == "" else dsn, settings)

    return open_


@pytest.fixture(scope="module")
def open_scene(new_scene: Callable[..., AbstractContextManager[Scene]]) -> Iterator[OpenScene]:
    """Scenes that stay until the end of the module."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(new_scene(**options))


@pytest.fixture(scope="session")
def undisturbed(new_scene: Callable[..., AbstractContextManager[Scene]]) -> dict[str, Any]:
    """What a load of the datasets `CORE` leaves that nothing disturbs, in packages of any size."""
    with new_scene() as scene:
        assert scene.run().code == 0
        return scene.facts()
