"""`make demo`: few lines where all goes well, every line of what goes wrong."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

# as pip prints: a line for each package, or none; errors in any case
PIP = """#!/bin/sh
case "$*" in
    *--quiet*) ;;
    *) seq -f 'Collecting package-%g' 900 ;;
esac
if test -n "$BROKEN"; then seq -f 'ERROR: line %g' 40 >&2; exit 1; fi
"""


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


def make(folder: Path, **environ: str) -> tuple[int, list[str]]:
    done = subprocess.run(
        ["make", f"PYTHON={sys.executable}"],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin"} | environ,
        capture_output=True,
        text=True,
    )
    return done.returncode, (done.stdout + done.stderr).splitlines()


def test_a_first_demo_says_what_it_installs_in_one_line(clone: Path) -> None:
    code, [installing, demo] = make(clone)
    assert (code, demo) == (0, "demo")
    assert installing.startswith("installing ")
    assert make(clone) == (0, ["demo"])


def test_a_failed_installation_is_shown_whole_and_made_again(clone: Path) -> None:
    code, printed = make(clone, BROKEN="yes")
    assert (code, "demo" in printed) == (2, False)
    assert [line for line in printed if line.startswith("ERROR")][-1] == "ERROR: line 40"
    assert make(clone)[1][-1] == "demo"
