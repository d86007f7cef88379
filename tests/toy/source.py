"""The smallest possible source: a folder of CSV files, one per symbol.

A line is `slot,price`, with slots as ascending text. Lane `toy` loads what is new of every file;
lane `toy_spot` (mode spot) loads the newest line of each, possibly at the same time.
"""

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from loaders.engine.check import describe_service
from loaders.engine.load import Load
from loaders.engine.outcome import NOT_DUE, Outcome, Stopped, records
from loaders.engine.source import Dataset, Source, Unit
from loaders.landing.rejects import Rejected, rejected_rows
from loaders.warehouse.tables import landed_table

FOLDER = Path("toy")  # where a real source would have its section of the settings
COLUMNS = [("symbol", pa.string()), ("slot", pa.string()), ("price", pa.int64())]
PRICE = landed_table("raw_toy", "price", COLUMNS, key=("symbol", "slot"))
SPOT = landed_table("raw_toy", "spot", COLUMNS, key=("symbol", "slot"))


@dataclass
class Context:
    load: Load
    folder: Path


def fetch(run: Context, symbols: Sequence[str]) -> Iterator[Outcome]:
    cursors = run.load.cursors(PRICE.name)
    for symbol in symbols:
        if run.load.cancelling():
            raise Stopped("stopped between two files")
        yield _read(run, symbol, cursors.get(symbol, ""))


def fetch_newest(run: Context, symbols: Sequence[str]) -> Iterator[Outcome]:
    for symbol in symbols:
        outcome = _read(run, symbol, "")
        yield Outcome(symbol, (outcome.rows or [])[-1:], failure=outcome.failure)


def _read(run: Context, symbol: str, after: str) -> Outcome:
    try:
        lines = list(csv.reader((run.folder / f"{symbol}.csv").read_text().splitlines()))
    except FileNotFoundError:
        return Outcome(symbol, failure=f"{symbol}.csv is not there")
    new = [(slot, price) for slot, price in lines if slot > after]
    wrong = [x for x in new if not x[1].isdigit()]
    refused = [Rejected(f"{symbol} {s}", "price", "must be a number", p, "{}") for s, p in wrong]
    lineage = {"source_route": "csv", "fetched_at": run.load.clock(), "is_final": True}
    rows: list[dict[str, Any]] = [
        {"symbol": symbol, "slot": slot, "price": int(price)} | lineage
        for slot, price in new
        if (slot, price) not in wrong
    ]
    if not new:
        return Outcome(symbol, skipped=NOT_DUE)
    return Outcome(symbol, rows, refused, cursor=new[-1][0])


def plan(run: Context) -> Iterator[Sequence[Unit]]:
    request, retried = run.load.request, run.load.retried
    if retried is not None:
        yield [Unit(task.dataset, task.keys) for task in retried if task.keys]
        return
    files = tuple(sorted(path.stem for path in run.folder.glob("*.csv")))
    yield [Unit("spot" if request.mode == "spot" else "price", request.keys or files)]


@contextmanager
def opened(load: Load) -> Iterator[Context]:
    yield Context(load, FOLDER)


SOURCE = Source(
    name="toy",
    tables=(PRICE, SPOT, rejected_rows("raw_toy")),
    rejected=rejected_rows("raw_toy"),
    datasets=(
        Dataset("price", PRICE, "csv", fetch, records),
        Dataset("spot", SPOT, "csv", fetch_newest, records),
    ),
    slice_size=lambda _: 2,
    check=lambda *_: describe_service(f"{FOLDER} is there", (), {"folder": str(FOLDER)}),
    open=opened,
    plan=plan,
    lane=lambda request: "toy_spot" if request.mode == "spot" else "toy",
)
