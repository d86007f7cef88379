"""A small load into a table with history, the daily case; prints one line of JSON.

    python -m tests.benchmarks.small PATH URL FOLDER CODES DAYS LOADS

The table holds CODES × DAYS rows. Each load brings 10 days of every code: 5 are there already,
5 are new.
"""

import json
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from loaders.tdx.tables import KLINE_DAILY
from tests.benchmarks import databases, paths
from tests.benchmarks.rows import BATCH, bars

OLD = NEW = 5


def main(name: str, url: str, folder: Path, codes: int, days: int, loads: int) -> dict[str, Any]:
    databases.prepared(url, folder, "key")
    work = Path(tempfile.mkdtemp(dir=folder))
    try:
        write, table = paths.open_path(name, url, work)
        history = work / "history.parquet"
        pq.write_table(bars(codes, 0, days), history, row_group_size=BATCH)
        # dlt makes its own table; ours is filled by the quickest way
        (write if name.startswith("dlt") else paths.copy_text(url, KLINE_DAILY))(history)
        databases.settle(url, table)
        runs = []
        for number in range(loads + 1):
            file = work / "small.parquet"
            rows = bars(codes, days - OLD + NEW * number, OLD + NEW, fetch=number + 1)
            pq.write_table(rows, file)
            started = time.perf_counter()
            parts = write(file)
            runs.append({"seconds": time.perf_counter() - started, **parts})
        # the first load warms what every process needs once
        return {"runs": runs[1:], "rows": rows.num_rows, **databases.state(url, table)}
    finally:
        shutil.rmtree(work)


if __name__ == "__main__":
    name_, url_, folder_, *sizes = sys.argv[1:]
    print(json.dumps(main(name_, url_, Path(folder_), *map(int, sizes))))
