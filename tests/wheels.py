"""The wheel, built from this checkout and installed far from it."""

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

from tests.conftest import ROOT


def build_wheel(folder: Path) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel"]
    done = subprocess.run([*command, "--directory", str(folder)], cwd=ROOT, capture_output=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("*.whl")
    return wheel


def install_wheel(wheel: Path, folder: Path) -> Path:
    """A new environment with the wheel and the dependencies of this one; its interpreter."""
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    subprocess.run([*pip, "--no-deps", "--no-index", "--no-compile", str(wheel)], check=True)
    (site,) = (folder / "lib").glob("python*/site-packages")
    # a plain line: the .pth files over there, which name the checkout, are not followed
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python
