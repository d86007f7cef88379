"""Each fix that `status` names is carried out in the state that names it, which is then over."""

import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest

from loaders.settings import load_settings
from orchestration.console.starting import find_options
from tests.checkout import own_checkout
from tests.dbt_parse import Parsed
from tests.e2e.commands import BIN, Place, sandbox
from tests.homes import new_home

CLOSE = "2025-06-30T18:00"  # where the sandbox's clock stands
LATER = "2025-07-20T18:00"
# port 9 is discard: nobody listens
AWAY = {"BASE_URL": "http://127.0.0.1:9", "RETRIES": "0"}
AWAY = {f"QUOTEMILL_TDX__{name}": value for name, value in AWAY.items()}
NO_FILE = {"QUOTEMILL_TDX__CORPORATE_ACTIONS": "/nowhere/actions.csv"}
COMMAND = re.compile(r"(?:quotemill|loaders) [a-z][a-z0-9_ ]*")
AGAIN = r"after you fix the cause: quotemill retry \d+"


@dataclass(frozen=True)
class State:
    """A problem and its fix, as patterns, with the commands that lead to it.

    query: changes the warehouse
    settings: wrong ones, which are set right before the fix
    has_button: whether the console offers the fix as it stands
    """

    problem: str
    fix: str
    commands: tuple[str, ...] = ()
    query: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    has_button: bool = True


STATES = {
    "nothing loaded": State("nothing was loaded yet", "quotemill run"),
    "a wrong setting": State(
        r"load \d+ of tdx partial: .*/nowhere/actions\.csv",
        AGAIN,
        ("loaders run tdx --dataset corporate_actions",),
        settings=NO_FILE,
        has_button=False,
    ),
    "the service away": State(
        r"load \d+ of tdx failed: .*127\.0\.0\.1:9",
        AGAIN,
        ("quotemill run",),
        settings=AWAY,
        has_button=False,
    ),
    "late data while the service is away": State(
        r"kline_daily ends 2025-06-30", AGAIN, ("quotemill run",), settings=AWAY, has_button=False
    ),
    "a killed build": State(
        r"build \d+ interrupted",
        "quotemill build",
        query="insert into ops.runs (run_id, command, build_id) values ('build-9', '', 9)",
    ),
    "a reconciliation with differences": State(
        "reconciliation 0: 1 difference of sh600000: unfinished",
        "quotemill reconcile",
        query="insert into qa.reconciliation (run_id, severity, code, likely_cause, check_name, "
        "period, bar_end, field) "
        "values (0, 'warning', 'sh600000', 'unfinished', '', '', now(), '')",
    ),
    "a disabled job": State(
        "tdx_daily is disabled",
        "quotemill schedule enable tdx_daily",
        ("quotemill schedule disable tdx_daily",),
    ),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A service with 6 codes and 40 days, and an empty home."""
    folder = tmp_path_factory.mktemp("checkout")
    actions = folder / "actions.csv"
    size = ("--codes", "6", "--days", "40", "--write-actions", str(actions))
    own_checkout(folder)
    with new_home() as home, sandbox(*size) as url:
        settings = {"BASE_URL": url, "CORPORATE_ACTIONS": str(actions), "MINUTE_DAYS": "3"}
        settings = {f"QUOTEMILL_TDX__{name}": value for name, value in settings.items()}
        yield Place(folder, home, settings | {"DBT_EXCLUDE_RESOURCE_TYPES": "unit_test"})


def type_in(place: Place, command: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a command at the time of the sandbox, as the console does."""
    at = ["--as-of", CLOSE] if "a" in (find_options(command) or "") else []
    return place.forked(*command.split(), *at, **settings)


def list_fixes(place: Place) -> dict[str, str]:
    """The problems that status shows, with their fixes."""
    done = place.forked("quotemill", "status", "--as-of", LATER, "--json")
    assert done.returncode == 0, done.stderr
    return {row["problem"]: row["fix"] for row in json.loads(done.stdout)["problems"]}


def find_problem(place: Place, pattern: str) -> str | None:
    return next((text for text in list_fixes(place) if re.match(pattern, text)), None)


@pytest.mark.parametrize("name", STATES)
def test_a_fix_ends_the_state_that_names_it(place: Place, name: str) -> None:
    state = STATES[name]
    if name != "nothing loaded" and "nothing was loaded yet" in list_fixes(place):
        type_in(place, "quotemill run")  # the state before may be another worker's
    for command in state.commands:
        type_in(place, command, **state.settings)
    if state.query:
        url = place.forked("quotemill", "warehouse", "url").stdout.strip()
        with psycopg.connect(url) as conn:
            conn.execute(state.query.encode())
    problem = find_problem(place, state.problem)
    assert problem is not None, list_fixes(place)
    fix = list_fixes(place)[problem]
    assert re.fullmatch(state.fix, fix)
    assert (find_options(fix) is not None) == state.has_button

    for command in COMMAND.findall(fix):
        done = type_in(place, command)
        assert done.returncode == 0, done.stderr

    left = list_fixes(place)
    # the simulated service has nothing newer, but the fix is that of a service that answers
    assert left.get(problem) in (None, "quotemill run")
    assert not [text for text in left if re.match("load|build", text)]


def test_a_first_run_that_loads_nothing_builds_nothing_and_says_so(place: Place) -> None:
    with new_home() as home:
        empty = Place(place.folder, home, place.settings)
        done = type_in(empty, "quotemill run", **AWAY)
        assert done.returncode == 4, done.stderr
        assert "build: no load has finished yet" in done.stderr
        assert "dbt build" not in done.stderr
        [(problem, fix)] = list_fixes(empty).items()
        assert problem.startswith("load 1 of tdx failed")
        assert re.fullmatch(AGAIN, fix)
        printed = empty.forked("quotemill", "dbt", "seed").stdout
        assert re.search(r"Warehouse: \w+ at .+:\d+, schema market\n", printed)
        assert "Nothing is loaded yet" in printed
        assert type_in(empty, "quotemill retry 1").returncode == 0
        left = list_fixes(empty)  # the simulated service has nothing newer
        assert not [text for text in left if re.match("load|build|nothing", text)]


@pytest.mark.parametrize("command", ["quotemill settings", "loaders --version"])
def test_a_command_whose_reader_is_gone_ends_quietly(command: str, tmp_path: Path) -> None:
    done = run_unread(Place(tmp_path, tmp_path), command, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.soak
def test_work_whose_reader_is_gone_goes_on_to_its_end(place: Place, parsed: Parsed) -> None:
    with new_home() as home:
        unread = Place(place.folder, home, place.settings)
        parsed.give(load_settings(unread.environment(), unread.folder))
        at = f"--as-of {CLOSE}"
        commands = {
            f"loaders run tdx --dataset codes {at}": 0,
            f"quotemill run {at}": 0,
            "quotemill build": 0,
            f"quotemill run --json {at}": 141,
        }
        for command, code in commands.items():
            done = run_unread(unread, command, stderr=subprocess.STDOUT)
            assert (command, done.returncode) == (command, code)
            assert not [text for text in list_fixes(unread) if re.match("load|build", text)]
        assert not [*(home / "logs").glob("error*")]


def run_unread(place: Place, command: str, stderr: int) -> subprocess.CompletedProcess[str]:
    """Run a command whose stdout is a pipe that nobody reads."""
    program, *arguments = command.split()
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [str(BIN / program), *arguments],
        stdout=writer,
        stderr=stderr,
        text=True,
        cwd=place.folder,
        env=place.environment(),
    )
    os.close(writer)
    return done
