"""Packages of other projects that read our tables in tests, installed at first need."""

import functools
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.conftest import ROOT
from tests.requirements import require

FOLDER = ROOT / "var" / "peer-packages"
# without what they ask for, except what our own environment lacks
PACKAGES = (
    "backtrader==1.9.78.123",
    "loguru==0.7.3",
    "optopsy==2.2.0",
    "peewee==4.5.3",
    "tzlocal==5.3.1",
    "vnpy==4.5.0",
    "vnpy_postgresql==1.1.2",
)


def require_peer_packages() -> Path:
    """The folder with the packages, for PYTHONPATH; skips where they cannot be installed."""
    trouble = _install()
    require("peers", not trouble, f"the packages of peers cannot be installed: {trouble}")
    return FOLDER


@functools.cache
def _install() -> str:
    """Install them; the error, if any."""
    done, wanted = FOLDER / ".installed", " ".join(PACKAGES)
    if done.exists() and done.read_text() == wanted:
        return ""
    FOLDER.parent.mkdir(exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=".peer-packages-", dir=FOLDER.parent))
    try:
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        pip += ["--retries", "1", "--no-deps", "--target", str(part), *PACKAGES]
        result = subprocess.run(pip, capture_output=True, text=True)
        if result.returncode:
            return (result.stderr.strip().splitlines() or ["pip failed"])[-1]
        (part / ".installed").write_text(wanted)
        shutil.rmtree(FOLDER, ignore_errors=True)
        try:
            part.rename(FOLDER)
        except OSError:
            if not done.exists():  # another process of the run was a moment faster
                raise
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return ""
