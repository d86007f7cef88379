"""The wheel alone, far from any checkout, brings the dbt project and stays unchanged."""

import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from tests.e2e.commands import ROOT
from tests.homes import clean_environ, new_home


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel"]
    done = subprocess.run([*build, "--directory", str(folder)], cwd=ROOT, capture_output=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter with the wheel and the dependencies of this one, without this checkout."""
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    (site,) = (folder / "lib").glob("python*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    # a plain line: the .pth files over there, which name the checkout, are not followed
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def test_the_wheel_carries_what_a_checkout_has_for_dbt(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = {
            name.removeprefix("orchestration/bundled/")
            for name in archive.namelist()
            if name.startswith("orchestration/bundled/")
        }
    parts = ("dbt_project/models", "macros", "seeds", "tests/dbt", "docs/dbt")
    needed = {
        path.relative_to(ROOT).as_posix()
        for part in parts
        for path in (ROOT / part).rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }
    assert packed == needed | {"dbt_project/dbt_project.yml"}


def test_dbt_runs_from_an_empty_folder_and_leaves_the_package_unchanged(
    python: Path, tmp_path: Path
) -> None:
    (site,) = (python.parent.parent / "lib").glob("python*/site-packages")
    code = "from orchestration.cli import main; main()"

    def quotemill(*arguments: str) -> None:
        done = subprocess.run(
            [str(python), "-B", "-c", code, *arguments],
            cwd=tmp_path,
            env=environ | {"QUOTEMILL_HOME": str(home)},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    environ = clean_environ()
    before = sorted(site.rglob("*"))
    with new_home() as home:
        quotemill("dbt", "seed")  # parses all of the project, runs its hooks, writes a table
        profile = home / "dbt" / "profiles.yml"
        assert profile.stat().st_mode & 0o777 == 0o600
    assert sorted(site.rglob("*")) == before
    assert list(tmp_path.iterdir()) == []
