"""Measurements in child processes, so that one measurement's memory does not affect the next.

python -m tests.benchmarks.processes MODULE FUNCTION KEYWORDS
"""

import importlib
import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def measured(module: str, function: str, **keywords: Any) -> Any:
    """Call `tests.benchmarks.MODULE.FUNCTION` in a child process and return its JSON result."""
    child = [sys.executable, "-m", __name__, f"tests.benchmarks.{module}", function]
    arguments = [*child, json.dumps(keywords, default=str)]
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{module}.{function} failed: {done.stderr.strip()[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def peak_mb() -> float:
    """The peak memory of this process; ru_maxrss would include the parent's before the fork."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return rusage_mb(resource.RUSAGE_SELF)


def rusage_mb(who: int) -> float:
    used = resource.getrusage(who).ru_maxrss
    return used / (1024 * 1024 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    module_, function_, keywords_ = sys.argv[1:]
    result = getattr(importlib.import_module(module_), function_)(**json.loads(keywords_))
    print(json.dumps(result))
