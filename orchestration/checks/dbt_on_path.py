"""The dbt that a shell starts: users type it in dbt_project/. Ours runs in process, off PATH."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from loaders.engine.check import Check
from orchestration.run.quick_dbt import VERSIONS

PATIENCE = 10.0  # seconds for its version, for which dbt also asks the package index
_VERSION = re.compile(r"\d+\.\d+\.\d[\w.-]*")


def check() -> Iterator[Check]:
    """A warning where the first dbt on PATH is of another installation, and cannot build ours."""
    first, own = shutil.which("dbt"), Path(sys.executable).parent
    if first is None or Path(first).parent.samefile(own):
        return
    try:
        done = subprocess.run(
            [first, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PATIENCE,
        )
        printed = done.stdout + done.stderr
    except (OSError, subprocess.TimeoutExpired):
        printed = ""
    version = _VERSION.search(printed)
    known = VERSIONS["dbt-core"]
    if version and version[0].startswith(known) and "postgres" in printed:
        return
    yield Check(
        "dbt",
        "warn",
        f"`dbt` is {first}, {version[0] if version else 'of no known version'}; "
        f"the project needs dbt {known}x with dbt-postgres",
        f"quotemill dbt build, or {own / 'dbt'} in dbt_project/",
    )
