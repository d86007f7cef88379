"""Whatever a command writes to stderr, until its interpreter has ended, our own code wrote."""

import os
import re
import select
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from loaders.sandbox.ib.service import IbSandbox
from loaders.sandbox.ib.world import World
from loaders.warehouse.embedded import server as embedded
from tests import write_reference
from tests.checkout import own_checkout
from tests.e2e.commands import BIN, ROOT, Place, printed_sandbox, sandbox
from tests.homes import new_home
from tests.requirements import require_ib

MARKED = re.compile(r"\x02.*?\x03", re.DOTALL)
CLOSE = "2025-06-30T18:00"  # where the stocks' clock stands
FUTURES_CLOSE = "2025-11-14T18:00"
EXAMPLES = {
    name: typed
    for name, command in write_reference.commands(hidden=True)
    if (typed := write_reference.example(command))
}
# marks our lines in each Python
MARKS = {"PYTHONPATH": str(ROOT / "tests" / "marked_lines")}
MARKS["PATH"] = f"{BIN}:{os.environ['PATH']}"
# what is stored before the examples of the help are typed
FILLED = (
    f"loaders run tdx --as-of {CLOSE}",
    "loaders run ib --task discover",
    f"loaders run tq --as-of {FUTURES_CLOSE}",
    "quotemill build",
)
# examples that cannot be typed here as they stand
INSTEAD = {
    "loaders cancel": "loaders cancel tdx",
    "quotemill cancel": "loaders cancel tdx",
    "quotemill demo": "quotemill demo --codes 2 --days 40",
    "quotemill run": f"quotemill run tdx --as-of {CLOSE} --json",
    "quotemill console": "quotemill console --port 0 --no-open",
    "quotemill docs": "quotemill docs --output docs.html",
    "quotemill warehouse url": "quotemill warehouse url",
    "quotemill warehouse restore": "quotemill warehouse restore backup.dump --yes",
    "quotemill warehouse remove": "quotemill warehouse remove --yes",
    "quotemill backup restore": "quotemill backup restore --yes",
}
# they serve until somebody stops them
ENDLESS = (
    "loaders sandbox tdx",
    "loaders sandbox tq",
    "loaders sandbox ib",
    "quotemill schedule serve",
    "quotemill loads",
    "quotemill jobs",
    "quotemill console",
)
# after what they leave the others would have nothing to do
LAST = (
    "quotemill warehouse restore",
    "quotemill backup restore",
    "quotemill warehouse stop",
    "quotemill warehouse remove",
)


@pytest.fixture
def place() -> Iterator[Place]:
    """All three sources, small, and a project of its own."""
    require_ib()
    with (
        new_home() as folder,
        new_home() as home,
        sandbox("--codes", "6", "--days", "40") as url,
        IbSandbox(World(["AAPL"]), clock="2026-11-19T10:00:05") as gateway,
        printed_sandbox("tq", 5, "--variety", "SHFE.cu", "--clock", FUTURES_CLOSE) as (_, futures),
    ):
        own_checkout(folder)
        settings = {f"TQ__{name}": value for name, value in futures.items() if name.isupper()}
        settings |= {f"IB__{name.upper()}": str(x) for name, x in gateway.settings().items()}
        settings |= {"IB__SETTLE": "0.05", "IB__MAX_STRIKES_PER_EXPIRY": "2", "IB__MAX_DTE": "45"}
        settings |= {"TDX__BASE_URL": url, "TDX__MINUTE_DAYS": "3", "TDX__TICK_DAYS": "2"}
        settings |= {"TQ__START": "2025-11-10"}
        given = {f"QUOTEMILL_{name}": value for name, value in settings.items()}
        given |= {"DBT_EXCLUDE_RESOURCE_TYPES": "unit_test test"}
        yield Place(folder, home, given | MARKS | {"XDG_CONFIG_HOME": str(folder)})
        embedded.stop(folder / "var" / "demo")


def run(place: Place, typed: str, *, is_endless: bool = False) -> tuple[int, str]:
    """Its exit code, and what remains of its stderr without the lines that our code wrote.

    One that is endless is stopped as by Ctrl-C after its first output.
    """
    process = subprocess.Popen(
        ["bash", "-c", typed],
        cwd=place.folder,
        env=place.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    )
    if is_endless:
        select.select([process.stdout, process.stderr], [], [])
        process.send_signal(signal.SIGINT)
    _, written = process.communicate()
    return process.returncode, MARKED.sub("", written).strip()


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_no_command_writes_lines_of_a_library(place: Place) -> None:
    ended = {typed: run(place, typed) for typed in FILLED}
    assert ended == dict.fromkeys(FILLED, (0, ""))
    in_order = sorted(EXAMPLES, key=lambda name: LAST.index(name) if name in LAST else -1)
    for name in in_order:
        typed = INSTEAD.get(name, EXAMPLES[name])
        ended[name] = run(place, typed, is_endless=name in ENDLESS)
    assert {name: left for name, (_, left) in ended.items() if left} == {}
    # 1 is an error in our code; those with data did what they are for
    assert {name for name, (code, _) in ended.items() if code == 1} == set()
    succeeded = {name for name, (code, _) in ended.items() if code == 0}
    assert succeeded > {
        "quotemill demo",
        "quotemill run",
        "quotemill dbt",
        "quotemill doctor",
        "quotemill report",
        "quotemill docs",
        "quotemill export rows",
        "quotemill options snapshot",
        "quotemill archive",
        "quotemill backup",
        "quotemill warehouse restore",
    }


def test_lines_of_others_are_not_taken_for_ours(tmp_path: Path) -> None:
    (tmp_path / "lines.py").write_text(
        """
import logging, os, warnings
from loaders.engine.progress import format_counts, print_line

class Last(int):
    def __del__(self):
        1 / 0

class Counts:
    def items(self):
        yield from ((word, Last(1)) for word in "ab")

print_line("ours")
logging.getLogger("dlt").warning("text 1")
warnings.warn("text 2")
os.write(2, b"text 3")
format_counts(Counts())  # in our code the interpreter ignores an exception
""",
        "utf-8",
    )
    place = Place(tmp_path, tmp_path / "home", MARKS)
    code, left = run(place, "python lines.py")
    assert code == 0
    seen = Counter(re.findall(r"^ours|text \d|^ZeroDivisionError", left, re.MULTILINE))
    assert seen == {"text 1": 1, "text 2": 2, "text 3": 1, "ZeroDivisionError": 2}
