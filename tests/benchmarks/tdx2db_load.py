"""One `tdx2db init` of a desktop client's folder, in a process of its own: PROGRAM, HOME, FOLDER."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage

from tests.benchmarks.processes import rusage_mb


def main() -> None:
    program, home, folder = sys.argv[1:]
    file, vipdoc = Path(home) / "peer.duckdb", Path(folder) / "vipdoc"
    began = time.monotonic()
    subprocess.run(
        [program, "init", "--dburi", f"duckdb://{file}", "--dayfiledir", vipdoc],
        env=os.environ | {"TMPDIR": home}, stdout=sys.stderr, check=True,
    )  # fmt: skip
    figures = {"seconds": time.monotonic() - began}
    used = getrusage(RUSAGE_CHILDREN)
    figures |= {"cpu": used.ru_utime + used.ru_stime, "peak_mb": rusage_mb(used)}
    print(json.dumps(figures | {"bars": bars_in(file)}))


def bars_in(file: Path) -> int:
    import duckdb  # here: a child is told to have held what its parent did when it began

    with duckdb.connect(file, read_only=True) as there:
        row = there.execute("select count(*) from raw_kline_daily").fetchone()
    return row[0] if row else 0


if __name__ == "__main__":
    main()
