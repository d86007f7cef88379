"""One load of each source over an embedded server, to be disturbed again and again."""

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from loaders.engine.progress import Silent
from loaders.sandbox.tdx.calls import Options
from loaders.sandbox.tdx.service import TdxSandbox
from loaders.sandbox.world.actions import actions_csv
from loaders.sandbox.world.market import SyntheticMarket
from loaders.tq.tick_days.verify import verify
from loaders.warehouse.embedded import server as embedded
from loaders.warehouse.postgres import open_warehouse
from tests.faults.proxy import Proxy, proxy
from tests.faults.scene import CORE, Finished, Scene, drive, drive_load
from tests.faults.test_ib_kills import CLOCKS, tables
from tests.faults.test_tq_kills import MAPPED, contents
from tests.integration.ib import bench as ib
from tests.integration.tq import bench as tq
from tests.integration.tq.worlds import world

MARKET = SyntheticMarket(codes=12, days=60, seed=3)
PARTS = ("index", "alike", "schedule", "days", "minutes")  # of ticks that are stored
LANES = ("tdx", "ib discover", "ib snapshot", "ib enrich", "tq mapping", "tq questdb")


@dataclass
class Lane:
    """`drive` runs the load in a process that is killed at a point, with these variables.

    `contents` is all that it leaves; `service` are the variables by which it finds its service at
    another place; `begin` empties its store of ticks at the URL `store`. `whole` and `counts`: the
    contents of one left alone, and how often it reached each point.
    """

    name: str
    home: Path
    sandbox: Any
    drive: Callable[..., Finished]
    contents: Callable[[], Mapping[str, Any]]
    begin: Callable[[], object] = lambda: None
    service: Callable[[str], Mapping[str, str]] = lambda _: {}
    store: str = ""
    whole: Mapping[str, Any] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)

    @property
    def source(self) -> str:
        return self.name.partition(" ")[0]

    @property
    def template(self) -> str:
        return self.name.replace(" ", "_")

    @contextmanager
    def through_proxy(self, way: str) -> Iterator[tuple[Proxy, dict[str, str]]]:
        """A proxy before the service or the warehouse, and the variables of loads through it."""
        if way == "warehouse":
            server = embedded.ensure_running(self.home)
            with proxy(server.socket_dir / ".s.PGSQL.5432") as middle:
                parts = psycopg.conninfo.conninfo_to_dict(server.url)
                at = f"{parts['user']}@127.0.0.1:{middle.port}/{parts['dbname']}"
                yield middle, {"QUOTEMILL_WAREHOUSE_URL": f"postgresql://{at}"}
        elif way == "store":
            place, _, port = self.store.rpartition(":")
            with proxy(int(port)) as middle:
                yield middle, {"QUOTEMILL_QUESTDB_URL": f"{place}:{middle.port}"}
        else:
            url = getattr(self.sandbox, "url", "") or f":{self.sandbox.port}"
            with proxy(int(url.rpartition(":")[2])) as middle:
                yield middle, dict(self.service(f"127.0.0.1:{middle.port}"))

    def keep(self) -> None:
        """Let what is in the warehouse be where each load begins, and load once undisturbed."""
        copy_database(self.home, self.template, template=database_of(self.home))
        self.reset()
        done = self.drive("none", 0)
        assert done.code == 0, done.said
        self.whole, self.counts = self.contents(), done.counts

    def reset(self) -> None:
        self.begin()
        for folder in ("pipelines", "tq"):
            shutil.rmtree(self.home / folder, ignore_errors=True)
        copy_database(self.home, database_of(self.home), template=self.template)

    def complete(self) -> Finished:
        """Load as a user would after a fault; a killed one's lock may be held a moment longer."""
        until = time.monotonic() + 60
        while (done := self.drive("none", 0)).code == 75 and time.monotonic() < until:
            time.sleep(0.2)
        return done


def database_of(home: Path) -> str:
    return str(psycopg.conninfo.conninfo_to_dict(embedded.expected_url(home))["dbname"])


def copy_database(home: Path, name: str, template: str) -> None:
    url = embedded.ensure_running(home).url
    with psycopg.connect(url, dbname="template1", autocommit=True) as conn:
        conn.execute(f'drop database if exists "{name}" with (force)'.encode())
        conn.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", [template]
        )
        conn.execute(f'create database "{name}" template "{template}" strategy file_copy'.encode())


@contextmanager
def tdx_lane(home: Path) -> Iterator[Lane]:
    actions = home / "actions.csv"
    actions.write_text(actions_csv(MARKET.all_actions()), "utf-8")
    with TdxSandbox(MARKET, options=Options(timeout_delay=0.0)) as sandbox:
        own = {"QUOTEMILL_TDX__CORPORATE_ACTIONS": str(actions), "QUOTEMILL_TDX__SLICE_SIZE": "4"}
        scene = Scene(home, sandbox, None, own, embedded.expected_url(home))

        def load(point: str, nth: int, **env: str) -> Finished:
            as_of = env.pop("AS_OF", scene.as_of)
            command = ("loaders", "run", "tdx", "--as-of", as_of, *CORE)
            return drive("tdx", point, nth, *command, env=scene.environ() | env, cwd=home)

        yield Lane("tdx", home, sandbox, load, scene.facts, service=_service_of_tdx)


def _service_of_tdx(place: str) -> Mapping[str, str]:
    haste = {"QUOTEMILL_TDX__TIMEOUT": "2", "QUOTEMILL_TDX__BULK_TIMEOUT": "2"}
    return haste | {"QUOTEMILL_TDX__BASE_URL": f"http://{place}"}


def _driven(made: Any, source: str, *words: str, **own: Any) -> Callable[..., Finished]:
    def load(point: str, nth: int, **env: str) -> Finished:
        env = {"QUOTEMILL_WAREHOUSE_URL": ""} | env
        as_of = ("--as-of", env.pop("AS_OF")) if "AS_OF" in env else ()
        return drive_load(made, source, point, nth, *words, *as_of, own=own, **env)

    return load


@contextmanager
def ib_lane(home: Path, task: str) -> Iterator[Lane]:
    dsn = embedded.expected_url(home)
    # the most that the setting takes; rows have a hash of the settings, so that all loads have them
    # a quote that has not all of its fields in time lacks them: a partition is shorter
    # a busy machine stops its gateway for a second, after which a quote would do without the rest
    quick = {"messages_per_second": 50, "timeout": 2.0, "quote_timeout": 5.0, "settle": 4.0}
    with ib.bench(dsn, home, clock=CLOCKS["discover"], **quick) as made:
        if task != "discover":
            assert made.load("discover").exit_code == 0
            made.at(CLOCKS[task])
        load = _driven(made, "ib", "--task", task, **ib.QUICK | quick)
        yield Lane(
            f"ib {task}", home, made.sandbox, load, lambda: tables(made), service=_gateway_of_ib
        )


def _gateway_of_ib(place: str) -> Mapping[str, str]:
    return {"QUOTEMILL_IB__PORT": place.rpartition(":")[2]}


@contextmanager
def tq_lane(
    home: Path, kind: str, url: str = "", begin: Callable[[], object] = lambda: None
) -> Iterator[Lane]:
    environ = {"QUOTEMILL_QUESTDB_URL": url} if url else {}
    with tq.bench(world(), embedded.expected_url(home), home, environ=environ) as made:
        if kind == "mapping":

            def held() -> Mapping[str, Any]:
                return {query: made.rows(query) for query in MAPPED}
        else:
            assert made.load().status == "succeeded"
            tq.build_schedule(made)

            def held() -> Mapping[str, Any]:
                seen = verify(made.settings, open_warehouse(made.settings), Silent())
                parts = dict(zip(PARTS, contents(made), strict=True))
                return parts | {"verified": [seen.days, *seen.differences]}

        mode = "mapping" if kind == "mapping" else "ticks"
        words = ("--mode", mode, "--as-of", made.sandbox.clock.isoformat())
        own = {"pace": 0, "backoff": 0, "concurrency": 1}
        given = environ | ({"QUOTEMILL_QUESTDB__WAIT": "30"} if url else {})

        def load(point: str, nth: int, **env: str) -> Finished:
            return _driven(made, "tq", *words, **own)(point, nth, **given | env)

        def servers(place: str) -> Mapping[str, str]:
            given, own = made.sandbox.settings(), made.sandbox.url.partition("://")[2]
            haste = {"QUOTEMILL_TQ__TIMEOUT": "5", "QUOTEMILL_TQ__CONNECT_TIMEOUT": "5"}
            return haste | {
                f"QUOTEMILL_TQ__{name.upper()}": str(value).replace(own, place)
                for name, value in given.items()
                if name.endswith("_url")
            }

        yield Lane(f"tq {kind}", home, made.sandbox, load, held, begin, servers, url)
