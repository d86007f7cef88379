"""A service, a warehouse and the commands between them, as a user has them: separate processes."""

import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psycopg

from loaders.sandbox.tdx.service import TdxSandbox
from loaders.tdx.tables import TABLES
from loaders.trading_time import SHANGHAI
from tests.bench import warehouse_url
from tests.e2e.commands import Place
from tests.faults import tally
from tests.faults.points import WHOSE
from tests.forks import Command
from tests.homes import clean_environ
from tests.integration.tdx_load import bench

ROOT = Path(__file__).parents[2]
# cheap to load; a test about more names its datasets or its mode
CORE = tuple(f"--dataset={name}" for name in bench.CORE)


def wait_until(what: str, condition: Callable[[], Any]) -> Any:
    """Poll until `condition()` is true; its value. Fails after three minutes."""
    deadline = time.monotonic() + 180
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.02)
    return value


@dataclass
class Finished:
    """A command that ended; `said` is its stderr.

    Of one that faults struck also whether they hit it, and how often it reached each point.
    """

    code: int
    said: str
    out: str
    hit: bool = False
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass
class Scene:
    """Commands run in `home` with the settings in `env` and no others.

    Loads without arguments load the datasets `CORE`.
    """

    home: Path
    sandbox: TdxSandbox
    dsn: str | None
    env: dict[str, str] = field(default_factory=dict)
    seen: str = ""  # the warehouse that tests read, if it is not in the settings

    @property
    def as_of(self) -> str:
        return self.sandbox.clock.replace(tzinfo=SHANGHAI).isoformat()

    def environ(self) -> dict[str, str]:
        return (
            clean_environ()
            | {
                "QUOTEMILL_HOME": str(self.home),
                "QUOTEMILL_TDX__BASE_URL": self.sandbox.url,
                "QUOTEMILL_TDX__INDICES": "sh000001",
                "QUOTEMILL_TDX__BACKOFF": "0",
                "QUOTEMILL_TDX__MINUTE_DAYS": "1",
                "QUOTEMILL_TDX__TICK_DAYS": "1",
                "DBT_PROFILES_DIR": str(self.home / "profiles"),
            }
            | ({"QUOTEMILL_WAREHOUSE_URL": self.dsn} if self.dsn else {})
            | self.env
        )

    def begin(self, *args: str) -> Command:
        """`loaders run tdx` at the sandbox's clock, in the background."""
        command = ("loaders", "run", "tdx", "--as-of", self.as_of, *(args or CORE))
        return Command(command, env=self.environ(), cwd=self.home)

    def begin_stuck(self, *args: str, landed: int = 6) -> Command:
        """A load in the background, once a request hangs and so many codes have day bars."""
        process = self.begin(*args)
        wait_until("a request hangs", lambda: any(e.faults for e in list(self.sandbox.log)))
        query = "select count(distinct code) from raw_tdx.kline_daily"
        wait_until("packages have landed", lambda: self.rows(query)[0][0] >= landed)
        return process

    def inside(self, *command: str) -> Finished:
        """Run a command in this process, which costs no imports."""
        done = Place(self.home, self.home, self.environ()).inside(*command)
        return Finished(done.returncode, done.stderr, done.stdout)

    def run(self, *args: str) -> Finished:
        return self.inside("loaders", "run", "tdx", "--as-of", self.as_of, *(args or CORE))

    def loaders(self, *args: str) -> Finished:
        return self.inside("loaders", *args)

    def driven(self, report: Path, point: str, nth: int, *args: str) -> Finished:
        """`loaders run tdx` that kills itself at the nth call of a point."""
        command = ("loaders", "run", "tdx", "--as-of", self.as_of, *(args or CORE))
        env = self.environ() | {"FAULTS_REPORT": str(report)}
        return drive("tdx", point, nth, *command, env=env, cwd=self.home)

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.seen or self.dsn or "") as conn:
            return conn.execute(query.encode(), values or None).fetchall()

    def jobs(self) -> list[str]:
        return [row[0] for row in self.rows("select status from ops.ingestion_jobs order by 1")]

    def facts(self) -> dict[str, list[tuple[Any, ...]]]:
        return facts(self.seen or self.dsn or "")


def ended(process: Command) -> Finished:
    out, said = process.communicate()
    code = process.poll()
    assert code is not None
    return Finished(code, said, out)


def drive(
    group: str,
    point: str,
    nth: int,
    *command: str,
    env: Mapping[str, str],
    cwd: Path = ROOT,
) -> Finished:
    """Run a command that kills itself, or others, at the nth call of a point; see the driver."""
    driven = ("driver", group, point, str(nth), *command)
    with tempfile.NamedTemporaryFile() as file:
        environ = clean_environ() | {"FAULTS_REPORT": file.name} | dict(env)
        done = ended(Command(driven, env=environ, cwd=cwd))
        said = Path(environ["FAULTS_REPORT"]).read_text()
    report = json.loads(said or "{}")
    if point != "none":
        victims = environ.get("FAULTS_VICTIM", "self")
        tally.count(name_kind(group, victims), WHOSE[group][1], hit=bool(report.get("hit")))
    return replace(done, hit=bool(report.get("hit")), counts=report.get("counts", {}))


def name_kind(group: str, victims: str) -> str:
    """The fault of killing what FAULTS_VICTIM names, as the tally calls it."""
    work, _ = WHOSE[group]
    names = {"self": work, "clients": "client"}
    killed = (
        names.get(v, "QuestDB" if v.startswith("questdb") else "server") for v in victims.split(",")
    )
    return f"{' and '.join(killed)} killed"


def drive_load(
    made: Any, source: str, point: str, nth: int, *words: str, own: Mapping[str, Any], **env: str
) -> Finished:
    """The load of a source's bench, with these settings of its own, in a process as in `drive`."""
    place = {
        "QUOTEMILL_WAREHOUSE_URL": warehouse_url(made.settings),
        "QUOTEMILL_HOME": str(made.settings.home),
        "DBT_PROFILES_DIR": str(made.settings.home),
    }
    given = _variables(f"QUOTEMILL_{source.upper()}", made.sandbox.settings() | own)
    env = dict(given) | place | env
    return drive(source, point, nth, "loaders", "run", source, *words, env=env)


def _variables(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """The variables of the environment that give a setting, or a section of them."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _variables(f"{name}__{key.upper()}", inner)
    else:
        yield name, ",".join(value) if isinstance(value, list) else str(value)


def facts(dsn: str, *, times: bool = True) -> dict[str, list[tuple[Any, ...]]]:
    """Everything that a load leaves and the next one builds on: rows, cursors, their publication.

    Rows come without the load id. Without `times` also without when they came and from where, for
    loads whose clocks differed: for an index's minutes these decide the route and the noon label.
    """
    apart = ["_dlt_load_id", "file_no"]
    if not times:
        apart += ["fetched_at", "source_route", "route_no", "source_label"]
    at = "last_success_at" if times else "null"
    contents: dict[str, list[tuple[Any, ...]]] = {}
    with psycopg.connect(dsn) as conn:
        for table in [each.name for each in TABLES]:
            # route numbers depend on the order of loads
            columns = ", ".join(
                row[0].replace(
                    "route_no", "(select route from ops.routes as r where r.route_no = t.route_no)"
                )
                for row in conn.execute(
                    "select attname from pg_attribute where attrelid = %s::regclass and attnum > 0 "
                    "and attname <> all(%s) and not attisdropped order by attnum",
                    (f"raw_tdx.{table}", apart),
                )
            )
            query = f"select {columns} from raw_tdx.{table} as t"
            if table == "trading_day":  # without predicted days that the service has passed
                query += (
                    " where source = 'service' or trade_date > "
                    "(select max(trade_date) from raw_tdx.trading_day where source = 'service')"
                )
            contents[table] = conn.execute(query.encode()).fetchall()
        contents["ingestion_state"] = conn.execute(
            f"select source, dataset, key, last_success_date, {at}, cursor "
            "from ops.ingestion_state".encode()
        ).fetchall()
        contents["cursors"] = sorted(_cursors(conn))
    return contents


def _cursors(conn: psycopg.Connection) -> list[tuple[str, str, str]]:
    """The cursors of the newest state that belongs to a finished load, as dlt restores them."""
    from dlt.common.versioned_state import decompress_state

    row = conn.execute(
        "select state from raw_tdx._dlt_pipeline_state as s join raw_tdx._dlt_loads as l "
        "on l.load_id = s._dlt_load_id where l.status = 0 order by l.load_id desc limit 1"
    ).fetchone()
    assert row is not None
    state: Mapping[str, Any] = decompress_state(row[0])
    return [
        (resource, key, day)
        for resource, held in state["sources"]["tdx"]["resources"].items()
        for key, day in held.get("cursor", {}).items()
    ]


def assert_same(actual: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Compare two sets of facts table by table; a diff of the whole would be unreadable."""
    for table, rows in expected.items():
        missing, surplus = set(rows) - set(actual[table]), set(actual[table]) - set(rows)
        assert not missing, f"{table} lacks {sorted(missing, key=str)[:3]}"
        assert not surplus, f"{table} has {sorted(surplus, key=str)[:3]} too much"
        assert len(actual[table]) == len(rows), f"{table} holds rows twice"
