"""The smallest possible source: a folder of CSV files, one per symbol.

A line is `slot,price`, with slots as ascending text. Lane `toy` loads what is new of every file;
lane `toy_spot` (mode spot) loads the newest line of each, possibly at the same time.
"""

import csv
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path

from loaders.check import describe_service
from loaders.engine.load import Load
from loaders.engine.outcome import NOT_DUE, Outcome, Stopped
from loaders.engine.source import Dataset, Requests, Source, Unit
from tests.toy.tables import PRICE, SPOT, TABLES

FOLDER = Path("toy")  # where a real source would have its section of the settings


def fetch(load: Load, symbols: Sequence[str]) -> Iterator[Outcome]:
    cursors = load.cursors(PRICE.name)
    for symbol in symbols:
        if load.cancelling():
            raise Stopped("stopped between two files")
        yield _read(symbol, cursors.get(symbol, ""))


def fetch_newest(_: Load, symbols: Sequence[str]) -> Iterator[Outcome]:
    for symbol in symbols:
        outcome = _read(symbol, "")
        yield Outcome(symbol, (outcome.rows or [])[-1:], failure=outcome.failure)


def _read(symbol: str, after: str) -> Outcome:
    try:
        text = (FOLDER / f"{symbol}.csv").read_text()
    except FileNotFoundError:
        return Outcome(symbol, failure=f"{symbol}.csv is not there")
    lines = csv.DictReader(text.splitlines(), ("slot", "price"))
    # the engine rejects a price that is no number, and adds route and time
    rows = [{"symbol": symbol, **line} for line in lines if line["slot"] > after]
    return (
        Outcome(symbol, rows, cursor=rows[-1]["slot"]) if rows else Outcome(symbol, skipped=NOT_DUE)
    )


def plan(load: Load) -> Iterator[Sequence[Unit]]:
    if load.retried is not None:
        yield [Unit(task.dataset, task.keys) for task in load.retried if task.keys]
        return
    files = tuple(sorted(path.stem for path in FOLDER.glob("*.csv")))
    yield [Unit("spot" if load.request.mode == "spot" else "price", load.request.keys or files)]


SOURCE = Source(
    name="toy",
    tables=TABLES,
    datasets=(Dataset("price", PRICE, "csv", fetch), Dataset("spot", SPOT, "csv", fetch_newest)),
    check=lambda *_: describe_service(f"{FOLDER} is there", (), {"folder": str(FOLDER)}),
    open=nullcontext,
    plan=plan,
    slice_size=lambda _: 2,
    requests=Requests(lane=lambda request: "toy_spot" if request.mode == "spot" else "toy"),
)
