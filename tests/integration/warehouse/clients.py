"""A process that opens the warehouse of a home, as each command of ours does."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
CLIENT = """
import sys
from pathlib import Path
from loaders.settings import load_settings
from loaders.warehouse.postgres import open_warehouse
home = Path(sys.argv[1])
warehouse = open_warehouse(load_settings(environ={"QUOTEMILL_HOME": str(home)}, cwd=home))
with warehouse.connect(autocommit=True) as conn:
    print(conn.execute("select pg_postmaster_start_time()").fetchone()[0], conn.info.backend_pid)
"""


def client(home: Path, python: str = sys.executable, **kwargs: Any) -> subprocess.Popen[str]:
    environment = dict(os.environ)
    if python != sys.executable:  # another interpreter of the same version, with our packages
        environment["PYTHONPATH"] = os.pathsep.join(
            path for path in sys.path if "-packages" in path
        )
    return subprocess.Popen(
        [python, "-c", CLIENT, str(home)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **kwargs,
    )
