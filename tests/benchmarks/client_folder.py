"""A whole market from a desktop client's folder: the first load, and one with nothing new after it."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.benchmarks import databases
from tests.benchmarks.processes import measured
from tests.benchmarks.report import Aim
from tests.client_folder import write_folder

TITLE = "A market from a desktop client's folder"
FIRST_MOST, AGAIN_MOST, PEAK_MOST = 60.0, 5.0, 500.0  # of 5,400 codes × 2,500 days


@contextmanager
def folder(scratch: Path, codes: int, days: int) -> Iterator[Path]:
    """A client's folder, removed at the end."""
    client = scratch / "client"
    try:
        write_folder(client, codes, days)
        yield client
    finally:
        shutil.rmtree(client)


def loads(
    server: str, scratch: Path, client: Path, say: Callable[[str], None]
) -> dict[str, dict[str, Any]]:
    """The figures of both loads."""
    home = scratch / "client-home"
    home.mkdir(exist_ok=True)
    found = {}
    with databases.database(server) as dsn:
        for name in ("first", "again"):
            found[name] = measured("folder_load", dsn, home, client)
            say(f"{name} load: {found[name]['seconds']:.0f} s, {found[name]['rows_new']:,} new")
    return found


def section(found: dict[str, dict[str, Any]], codes: int, days: int) -> str:
    first, again = found["first"], found["again"]
    return "\n".join(
        [
            f"{codes:,} codes × {days:,} days of `.day` files, {first['rows_new']:,} bars, into an empty",
            "database with all its keys; then the same again, with nothing written since. Codes and the",
            "calendar are loaded too. CPU is that of the loader, the server's is not counted.",
            "",
            "| load | seconds | rows/s | CPU s | peak MB |",
            "|---|---|---|---|---|",
            f"| first | {first['seconds']:.1f} | {first['rows_new'] / first['seconds']:,.0f} "
            f"| {first['cpu']:.1f} | {first['peak_mb']:.0f} |",
            f"| nothing new | {again['seconds']:.1f} |  | {again['cpu']:.1f} | {again['peak_mb']:.0f} |",
        ]
    )


def aims(found: dict[str, dict[str, Any]]) -> list[Aim]:
    first, again = found["first"], found["again"]
    size = f"{first['rows_new']:,} bars of files"
    return [
        (name, f"≤ {most:.0f} {unit}", f"{value:.1f}", value <= most)
        for name, most, unit, value in (
            (f"first load, {size}", FIRST_MOST, "s", first["seconds"]),
            (f"peak of it, {size}", PEAK_MOST, "MB", first["peak_mb"]),
            (f"nothing new, {size}", AGAIN_MOST, "s", again["seconds"]),
        )
    ]
