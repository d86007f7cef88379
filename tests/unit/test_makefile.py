"""`make demo`: few lines where all goes well, every line of what goes wrong."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.conftest import ROOT

# as uv, which says nothing where all is well
UV = """#!/bin/sh
echo "$*" >>uv.log
if test -n "$REFUSED"; then echo 'error: no such index' >&2; exit 2; fi
"""
# as pip prints: a line for each package, or none; errors in any case
PIP = """#!/bin/sh
case "$*" in
    *--quiet*) ;;
    *) seq -f 'Collecting package-%g' 900 ;;
esac
if test -n "$BROKEN"; then seq -f 'ERROR: line %g' 40 >&2; exit 1; fi
"""
BY_PIP = "without uv, by pip, takes some minutes ... "


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The files that an installation reads, with programs that install nothing."""
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "dbt_project").mkdir()
    shutil.copy(ROOT / "dbt_project" / "profiles.before_load.yml", tmp_path / "dbt_project")
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name, text in (("pip", PIP), ("python", ""), ("quotemill", "#!/bin/sh\necho $*\n")):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    return tmp_path


def make(
    folder: Path, python: Path | str = sys.executable, **environ: str
) -> tuple[int, list[str]]:
    done = subprocess.run(
        ["make", f"PYTHON={python}"],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin"} | environ,
        capture_output=True,
        text=True,
    )
    return done.returncode, (done.stdout + done.stderr).splitlines()


def test_a_first_demo_says_what_each_step_of_its_installation_takes(clone: Path) -> None:
    code, printed = make(clone)
    assert code == 0
    assert [re.sub(r"\d+", "N", line) for line in printed] == [
        f"installing N packages into .venv ... {BY_PIP}N s",
        "demo",
    ]
    assert make(clone) == (0, ["demo"])


def test_a_failed_installation_is_shown_whole_and_made_again(clone: Path) -> None:
    code, printed = make(clone, BROKEN="yes")
    assert (code, "demo" in printed) == (2, False)
    assert [line for line in printed if line.startswith("ERROR")][-1] == "ERROR: line 40"
    assert make(clone)[1][-1] == "demo"


def test_uv_installs_what_the_lock_names_and_pip_where_it_fails(clone: Path) -> None:
    uv = clone / ".venv" / "bin" / "uv"
    uv.write_text(UV)
    uv.chmod(0o755)
    code, printed = make(clone, REFUSED="yes")
    assert (code, BY_PIP in printed[0]) == (0, True)
    assert printed[-2:] == ["demo", "error: no such index"]

    (clone / ".venv" / ".installed").unlink()
    code, printed = make(clone, BROKEN="")
    assert (code, BY_PIP in printed[0], printed[-1]) == (0, False, "demo")
    runs = (clone / "uv.log").read_text().splitlines()
    assert len(runs) == 2
    assert all(run.endswith("--require-hashes -r requirements.lock") for run in runs)
    # only its own lines of the lock are what pip installs it by
    own = (clone / ".venv" / "uv.lock").read_text()
    assert own.startswith("uv==")
    assert own.count("==") == 1
    assert "--hash=sha256:" in own


@pytest.mark.parametrize("version", [(3, 10), (3, 14)])
def test_another_python_than_the_dependencies_run_on_is_refused(
    clone: Path, version: tuple[int, int]
) -> None:
    python = clone / "python"
    pretend = f"import sys; sys.version_info = {version}; exec(sys.argv[1])"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{pretend}" "$2"\n')
    python.chmod(0o755)
    code, printed = make(clone, python)
    given = ".".join(map(str, version))
    message = f"needs Python 3.11, 3.12 or 3.13; this is {given}; fix: make PYTHON=python3.12"
    assert (code, printed[0]) == (2, message)


def test_the_package_the_makefile_and_the_classifiers_name_the_same_pythons() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    name = "Programming Language :: Python :: "
    versions = [c.removeprefix(name) for c in project["classifiers"] if c.startswith(name)]
    assert versions == ["3.11", "3.12", "3.13", "3.14"]
    # a reader needs no dbt, and so no bound
    assert project["requires-python"] == ">=3.11"
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert f"for version in {' '.join(versions)}; do" in makefile
    assert "needs Python 3.11, 3.12 or 3.13;" in makefile


def test_the_units_are_tested_on_each_python_that_is_there(clone: Path) -> None:
    """A python3.12 is the only one; the others are named as left out."""
    programs = clone / "bin"
    programs.mkdir()
    for name in ("sh", "awk", "grep", "cp", "touch", "make", "seq", "test", "echo"):
        (programs / name).symlink_to(shutil.which(name) or f"/bin/{name}")
    (programs / "python3.12").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    environment = clone / "var" / "python3.12" / "bin"
    environment.mkdir(parents=True)
    for name, text in (("pip", PIP), ("python", "#!/bin/sh\necho python3.12 $*\n")):
        (environment / name).write_text(text)
    for path in (programs / "python3.12", environment / "pip", environment / "python"):
        path.chmod(0o755)
    shutil.copy(ROOT / "requirements-dev.lock", clone)
    done = subprocess.run(
        [programs / "make", "test-pythons"],
        cwd=clone,
        env={"PATH": str(programs)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [lines[0], *lines[-2:]] == [f"skipped: no python3.{n} on PATH" for n in (11, 13, 14)]
    assert "python3.12 -m pytest -n 3 tests/unit" in lines
