"""The same files of a desktop client's folder by tdx2db, which writes them into a DuckDB file."""

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from loaders.tdx.tables import KLINE_DAILY
from tests.benchmarks import databases
from tests.benchmarks.processes import measured
from tests.benchmarks.report import Aim, table
from tests.client_folder import RECORD

TITLE = "The same files by tdx2db"
PROGRAM, RELEASE = "tdx2db", "v2026.7.1"
ABSENT = (
    f"Not measured: no `{PROGRAM}` is on PATH. Unpack it from "
    f"https://github.com/jing2uo/tdx2db/releases/tag/{RELEASE} into a folder of PATH, then run "
    "`make bench-peers` again."
)
MOST = 3.0  # times its seconds


@dataclass
class Results:
    """Figures of first loads: the n-th of ours and of the peer's ran one right after the other."""

    version: str
    bars: int  # records of the files, those of the index too
    ours: list[dict[str, Any]] = field(default_factory=list)
    theirs: list[dict[str, Any]] = field(default_factory=list)

    def ratios(self) -> list[float]:
        """How many times as long ours took."""
        pairs = zip(self.ours, self.theirs, strict=True)
        return [ours["seconds"] / theirs["seconds"] for ours, theirs in pairs]


def side_by_side(
    server: str, scratch: Path, client: Path, rounds: int, say: Callable[[str], None]
) -> Results | None:
    """First loads of the folder by both, `rounds` times; None where the peer is not installed."""
    program = shutil.which(PROGRAM)
    if program is None:
        return None
    results = Results(_version(program, scratch), _records(client))
    for number in range(rounds):
        results.ours.append(_ours(server, scratch, client))
        results.theirs.append(_theirs(program, scratch, client, results.bars))
        say(f"round {number + 1}: {results.ratios()[-1]:.2f} times as long as {PROGRAM}")
    return results


def _ours(server: str, scratch: Path, client: Path) -> dict[str, Any]:
    with databases.database(server) as dsn, TemporaryDirectory(dir=scratch) as home:
        os.sync()  # what the one before wrote is not written at this one's cost
        figures: dict[str, Any] = measured("folder_load", dsn, home, client)
        return figures | {"bars": databases.state(dsn, KLINE_DAILY.qualified)["rows"]}


def _theirs(program: str, scratch: Path, client: Path, bars: int) -> dict[str, Any]:
    with TemporaryDirectory(dir=scratch) as home:
        os.sync()
        figures: dict[str, Any] = measured("tdx2db_load", program, home, client)
    if figures["bars"] != bars:
        raise RuntimeError(f"{PROGRAM} landed {figures['bars']:,} bars of {bars:,}")
    return figures


def _version(program: str, scratch: Path) -> str:
    told = subprocess.run(
        [program, "--version"], check=True, capture_output=True, text=True,
        env=os.environ | {"TMPDIR": str(scratch)},
    ).stdout  # fmt: skip
    return told.splitlines()[0]


def _records(client: Path) -> int:
    files = client.glob("vipdoc/*/lday/*.day")
    return sum(file.stat().st_size for file in files) // RECORD.itemsize


# -- the page -------------------------------------------------------------------------------------


def section(results: Results | None) -> str:
    if results is None:
        return ABSENT
    lines = []
    for name, loads in ((results.version, results.theirs), ("quotemill", results.ours)):
        of = {key: median(load[key] for load in loads) for key in loads[0]}
        lines.append(
            [
                name,
                f"{of['bars']:,.0f}",
                f"{of['seconds']:.1f}",
                f"{of['cpu']:.1f}",
                f"{of['peak_mb']:.0f}",
            ]
        )
    each = ", ".join(f"{ratio:.2f}" for ratio in results.ratios())
    return "\n".join(
        [
            f"`{PROGRAM} init` makes one CSV file of the files and lets DuckDB read that into a table without "
            "a key, prices as floating point; the index is a code like others. Our load goes into PostgreSQL, "
            "each row checked and under its key, and can be run again. One right after the other, "
            f"medians of {len(results.theirs)}. CPU and memory are those of the program, in which DuckDB "
            "runs; PostgreSQL's are not counted.",
            "",
            table(("load", "bars", "seconds", "CPU s", "peak MB"), lines),
            "",
            f"Ours took {median(results.ratios()):.2f} times as long ({each}).",
        ]
    )


def aims(results: Results | None) -> list[Aim]:
    if results is None:
        return []
    found = median(results.ratios())
    name = f"first load beside {PROGRAM}, {results.bars:,} bars of files"
    return [(name, f"≤ {MOST:g} × its time", f"{found:.2f} ×", found <= MOST)]
