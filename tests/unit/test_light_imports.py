"""Help comes at once: nothing heavy is imported before a command needs it."""

import os
import subprocess
import sys

import pytest

HEAVY = ("dlt", "dbt", "tqsdk", "ib_insync", "pandas", "pyarrow")


def heavy_after(module: str, *arguments: str) -> list[str]:
    """Which heavy modules a command line has imported when it ends."""
    code = (
        "import contextlib, sys\n"
        f"from {module} import app\n"
        "with contextlib.suppress(SystemExit):\n"
        f"    app({list(arguments)!r})\n"
        f"print('heavy:', *[name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=os.environ
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.rpartition("heavy:")[2].split()


@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        ("loaders.cli", ("--help",)),
        ("loaders.cli", ("run", "--help")),
        ("loaders.cli", ("status", "--help")),
        ("orchestration.cli", ("--help",)),
        ("orchestration.cli", ("run", "--help")),
        ("orchestration.cli", ("status", "--help")),
        ("orchestration.cli", ("warehouse", "--help")),
    ],
)
def test_help_imports_nothing_heavy(module: str, arguments: tuple[str, ...]) -> None:
    assert heavy_after(module, *arguments) == []


@pytest.mark.parametrize(
    "module",
    ["loaders.cli.jobs", "orchestration.status", "loaders.settings", "loaders.engine.jobs"],
)
def test_what_status_stands_on_is_light(module: str) -> None:
    code = f"import sys, {module}\nprint(*[name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.split()) == (0, []), done.stderr
