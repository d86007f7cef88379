"""Check files by the platform's own checker before they are installed."""

import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from quotemill.errors import QuotemillError

_SECONDS = 60.0
_LINES = 5  # of what it says: the first names the cause


def systemd(files: Mapping[str, str]) -> bool:
    """Check units by `systemd-analyze verify`; False if it is absent. Raises QuotemillError."""
    if shutil.which("systemd-analyze") is None:
        return False
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            Path(folder, name).write_text(text, "utf-8")
        units = [str(Path(folder, name)) for name in files if "@" not in name]
        _run(["systemd-analyze", "verify", "--man=no", *units])
    return True


def launchd(agent: bytes) -> bool:
    """Check a property list by `plutil -lint`; False if it is absent. Raises QuotemillError."""
    if shutil.which("plutil") is None:
        return False
    with tempfile.NamedTemporaryFile(suffix=".plist") as file:
        file.write(agent)
        file.flush()
        _run(["plutil", "-lint", file.name])
    return True


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS)
    if done.returncode:
        said = "\n".join((done.stderr or done.stdout).strip().splitlines()[:_LINES])
        raise QuotemillError(
            f"{command[0]} refuses what would be installed: {said}",
            hint="nothing was written; please report it",
        )
