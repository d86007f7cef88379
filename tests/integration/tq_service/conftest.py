"""The real futures client against the sandbox. A process of the client costs a second, so that the
tests of a file share one wherever nothing goes wrong."""

import importlib.util
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from loaders.sandbox.tq.world import World
from loaders.tq.client.harvest import Harvest
from loaders.tq.settings import TqSettings
from tests.requirements import require

if TYPE_CHECKING:
    from loaders.sandbox.tq.service import TqSandbox

# as if 19 November were a public holiday: the night before and the evening of the 18th are without
# a session
HOLIDAYS = (date(2025, 10, 1), date(2025, 10, 2), date(2025, 10, 3), date(2025, 11, 19))


@pytest.fixture(scope="session", autouse=True)
def _client_is_there() -> None:
    present = all(importlib.util.find_spec(name) for name in ("tqsdk", "aiohttp"))
    require("tq", present, "the extra tq is not installed")


@pytest.fixture(scope="module")
def world() -> World:
    first, end = date(2025, 9, 1), date(2025, 12, 12)
    return World(first=first, end=end, ticks_per_day=60, holidays=HOLIDAYS)


@pytest.fixture(scope="module")
def sandbox(world: World) -> Iterator["TqSandbox"]:
    from loaders.sandbox.tq.service import TqSandbox

    with TqSandbox(world) as running:
        yield running


@pytest.fixture(scope="module")
def harvest(sandbox: "TqSandbox", tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harvest]:
    folder = tmp_path_factory.mktemp("harvest") / "run"
    with Harvest(settings_for(sandbox), folder) as harvest:
        yield harvest
    assert not folder.exists()


def settings_for(sandbox: "TqSandbox", **others: Any) -> TqSettings:
    quick = {"pace": 0, "backoff": 0, "retries": 0, "wait": 0}
    return TqSettings(**{**sandbox.settings(), **quick, **others})


@pytest.fixture
def own_harvest(tmp_path: Path) -> Iterator[Callable[..., Harvest]]:
    """Make a harvest of its own from a sandbox, settings and what else `Harvest` takes."""
    made: list[Harvest] = []

    def make(sandbox: "TqSandbox", given: dict[str, Any] | None = None, **others: Any) -> Harvest:
        folder = tmp_path / f"harvest-{len(made)}"
        made.append(Harvest(settings_for(sandbox, **(given or {})), folder, **others))
        return made[-1]

    yield make
    for harvest in made:
        harvest.close()


def day_range(world: World, day: date) -> tuple[datetime, datetime]:
    """From 18:00 of the trading day before to 18:00, exchange time."""
    start, end = (
        datetime(d.year, d.month, d.day, 18, tzinfo=UTC) - timedelta(hours=8)
        for d in (world.previous(day), day)
    )
    return start, end
