"""Our own commands on a home and a database, started as a user starts them, and timed."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Home:
    """A home, the warehouse and the settings of the commands."""

    folder: Path
    dsn: str
    settings: Mapping[str, str]

    def run(self, program: str, *arguments: str, **settings: str) -> float:
        """Run `quotemill` or `loaders`; return its seconds. Raises RuntimeError."""
        env = os.environ | {
            "QUOTEMILL_WAREHOUSE_URL": self.dsn,
            "QUOTEMILL_HOME": str(self.folder),
            "DBT_PROFILES_DIR": str(self.folder / "profiles"),
            **self.settings,
            **settings,
        }
        command = [str(Path(sys.executable).parent / program), *arguments]
        started = time.perf_counter()
        done = subprocess.run(command, cwd=self.folder, env=env, capture_output=True, text=True)
        seconds = time.perf_counter() - started
        if done.returncode:
            raise RuntimeError(f"{program} {arguments[:3]} failed: {done.stderr[-2000:]}")
        return seconds
