"""Runs in the adapter's own environment: reads a file's name a line, saves its ticks, tells the seconds.

python tick_peer.py HTTP_PORT PG_PORT
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from vnpy.trader.constant import Exchange
from vnpy.trader.object import TickData
from vnpy.trader.setting import SETTINGS

QUOTED = {
    "last_price": "last_price",
    "volume": "volume",
    "amount": "turnover",
    "open_interest": "open_interest",
    "highest": "high_price",
    "lowest": "low_price",
}
QUOTED |= {
    f"{side}_{what}{level}": f"{side}_{what}_{level}"
    for side in ("bid", "ask")
    for what in ("price", "volume")
    for level in range(1, 6)
}


def ticks_of(file: Path) -> list[Any]:
    rows = pq.read_table(file).to_pylist()
    return [
        TickData(
            gateway_name="bench",
            symbol=row["underlying_contract"].partition(".")[2],
            exchange=Exchange.SHFE,
            datetime=row["ts"],
            **{name: row[own] or 0.0 for own, name in QUOTED.items()},
        )
        for row in rows
    ]


def main(http_port: int, pg_port: int) -> None:
    SETTINGS.update(
        {
            "database.host": "127.0.0.1",
            "database.port": pg_port,
            "database.user": "admin",
            "database.password": "quest",
            "database.http_port": http_port,
        }
    )
    from vnpy_questdb import Database

    database = Database()
    for line in sys.stdin:
        ticks = ticks_of(Path(line.strip()))
        began = time.perf_counter()
        database.save_tick_data(ticks)
        print(json.dumps({"seconds": time.perf_counter() - began}), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
