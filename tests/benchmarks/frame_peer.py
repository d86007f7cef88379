"""One reading by a peer, run in its environment: prints seconds, CPU, rows and peak memory as JSON.

python frame_peer.py PEER URL QUERY
"""

import json
import re
import sys
import time
from pathlib import Path
from typing import Any


def open_read(peer: str, url: str) -> Any:
    """A function that reads a query, and returns something with a length."""
    if peer == "connectorx":
        import connectorx

        # it takes the folder of a socket as the host, not in the query
        user, database = re.findall(r"//([^@]*)@[^/]*/([^?]*)", url)[0]
        socket = re.findall(r"host=([^&]+)", url)
        own = f"postgresql://{user}@{socket[0]}:5432/{database}" if socket else url
        return lambda query: connectorx.read_sql(own, query, return_type="arrow")
    if peer == "psycopg":
        import psycopg

        conn = psycopg.connect(url)
        return lambda query: conn.execute(query).fetchall()
    import pandas
    import sqlalchemy

    engine = sqlalchemy.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    return lambda query: pandas.read_sql(sqlalchemy.text(query), engine)


def main() -> None:
    peer, url, query = sys.argv[1:]
    read = open_read(peer, url)
    read("select 1 as one")  # what is imported once is not counted
    began, used = time.perf_counter(), time.process_time()
    rows = len(read(query))
    figures = {"seconds": time.perf_counter() - began, "cpu": time.process_time() - used}
    status = Path("/proc/self/status").read_text().splitlines()
    peak = next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM:"))
    print(json.dumps(figures | {"rows": rows, "peak_mb": peak}))


if __name__ == "__main__":
    main()
