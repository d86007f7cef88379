"""Faults of every kind on every source: after them the same commands leave the same tables.

`make soak` runs many of each, by seeds that it prints; `make test-faults` one or two.
"""
# ruff: noqa: F811

import random
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from loaders.ticks.questdb import server as questdb
from loaders.ticks.tables import QUESTDB_TABLES
from loaders.warehouse.embedded import server as embedded
from quotemill.ticks.questdb_http import QuestdbHttp
from tests.faults import tally
from tests.faults.kills import dice
from tests.faults.lanes import LANES, Lane, ib_lane, tdx_lane, tq_lane
from tests.homes import new_home
from tests.integration.ticks.conftest import questdb_folder  # noqa: F401
from tests.integration.ticks.servers import SMALL, address_of, start

SOAK = pytest.mark.soak


def rounds(few: int, many: int) -> Any:
    """How many rounds `make test-faults` runs, and how many `make soak`."""
    both = [pytest.param(few, id="few"), pytest.param(many, id="many", marks=SOAK)]
    return pytest.mark.parametrize("times", both if few else both[1:])


def chance(times: int) -> random.Random:
    return dice(47 if times < 5 else secrets.randbelow(1_000_000))


@pytest.fixture(scope="module")
def open_lane(request: pytest.FixtureRequest) -> Iterator[Callable[[str], Lane]]:
    """Each load, over the embedded server of its home, until the end of the module."""
    with ExitStack() as stack:
        made: dict[str, Lane] = {}

        def start_lane(name: str) -> Lane:
            if name in made:
                return made[name]
            home = stack.enter_context(new_home())
            embedded.ensure_running(home)
            source, _, kind = name.partition(" ")
            if source == "tdx":
                opened = tdx_lane(home)
            elif source == "ib":
                opened = ib_lane(home, kind)
            elif kind == "questdb":
                folder = request.getfixturevalue("questdb_folder")
                opened = tq_lane(home, kind, url_of(folder), lambda: empty(folder))
            else:
                opened = tq_lane(home, kind)
            made[name] = stack.enter_context(opened)
            made[name].keep()
            return made[name]

        yield start_lane


def url_of(folder: Path) -> str:
    address = address_of(folder)
    scheme, _, place = address.url.partition("://")
    return f"{scheme}://{address.user}:{address.password}@{place}"


def empty(folder: Path) -> None:
    http = QuestdbHttp(address_of(folder))
    for table in QUESTDB_TABLES:
        http.rows(f"drop table if exists {table.name}")
    http.close()


@pytest.mark.parametrize("victims", ["self", "{server}", "{server},self"])
@pytest.mark.parametrize("name", LANES)
@rounds(1, 10)
def test_loads_killed_again_and_again_are_completed_by_the_next(
    name: str, victims: str, times: int, open_lane: Callable[[str], Lane]
) -> None:
    """The load, the embedded server below it, or both; several times before one comes through."""
    rng, lane = chance(times), open_lane(name)
    for _ in range(times):
        lane.reset()
        for _ in range(2 if times < 5 else 8):
            point = rng.choice(sorted(lane.counts))
            nth = rng.randint(1, lane.counts[point])
            server = embedded.ensure_running(lane.home).pid
            done = lane.drive(point, nth, FAULTS_VICTIM=victims.format(server=server))
            print(f"{name}, {victims}: {point}, {nth}: {done.code}")
            assert done.code in (0, -9, 4, 75), done.said
            assert "internal error" not in done.said
            if not done.hit:
                break
        embedded.ensure_running(lane.home)
        assert (last := lane.complete()).code == 0, last.said
        tally.compare("load, server killed", lane.source, lane.contents(), lane.whole)
