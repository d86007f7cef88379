"""The wheel, built from this checkout and installed far from it."""

import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.conftest import ROOT


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel"]
    done = subprocess.run([*command, "--directory", str(folder)], cwd=ROOT, capture_output=True)
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("*.whl")
    return built


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


def install_reader(wheel: Path, folder: Path) -> Path:
    """A new environment with the wheel and what it needs without any extra; its interpreter."""
    venv.create(folder, with_pip=False, symlinks=True)
    (site,) = (folder / "lib").glob("python*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    (own,) = site.glob("*.dist-info")
    for package in _find_packages(metadata.Distribution.at(own).requires or ()):
        for file in metadata.files(package) or ():
            top = site / file.parts[0]
            if file.parts[0] not in ("..", "__pycache__") and not top.exists():
                top.symlink_to(Path(str(file.locate())).parents[len(file.parts) - 1] / top.name)
    return folder / "bin" / "python"


def _find_packages(requirements: Iterable[str], extras: Iterable[str] = ()) -> set[str]:
    """The packages that requirements ask for with these extras, and all that those need."""
    packages = set[str]()
    for needed in map(Requirement, requirements):
        marker = needed.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in (*extras, "")):
            packages |= {needed.name} | _find_packages(
                metadata.requires(needed.name) or (), needed.extras
            )
    return packages
