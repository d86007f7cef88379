"""One load of a desktop client's folder, in a process of its own: DSN, HOME, FOLDER."""

import json
import sys
import time
from pathlib import Path

from loaders.engine.load import run_load
from loaders.engine.request import LoadRequest
from loaders.progress import Silent
from loaders.settings import load_settings
from tests.benchmarks.processes import peak_mb

DATASETS = ("codes", "trading_calendar", "kline_daily")


def main() -> None:
    dsn, home, folder = sys.argv[1:]
    settings = load_settings(
        {"QUOTEMILL_WAREHOUSE_URL": dsn, "QUOTEMILL_HOME": home, "DBT_PROFILES_DIR": home},
        cwd=Path(home),
        tdx={"client": folder},
    )
    began, used = time.monotonic(), time.process_time()
    done = run_load(settings, LoadRequest("tdx", datasets=DATASETS), Silent())
    figures = {"seconds": time.monotonic() - began, "cpu": time.process_time() - used}
    counts = {name: done.total(name) for name in ("rows_new", "rows_changed")}
    print(json.dumps(figures | counts | {"code": done.exit_code, "peak_mb": peak_mb()}))


if __name__ == "__main__":
    main()
