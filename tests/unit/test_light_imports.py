"""Help comes at once: nothing heavy is imported before a command needs it."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.requirements import require

HEAVY = ("dlt", "dbt", "tqsdk", "ib_insync", "ib_async", "pandas", "pyarrow", "croniter", "apprise")


def heavy_after(code: str) -> list[list[str]]:
    """Which heavy modules a new interpreter has imported after each `look()` of the code."""
    looking = (
        "import contextlib, sys\n"
        f"def look(): print('heavy:', *[name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", looking + code],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ,
    )
    assert done.returncode == 0, done.stderr
    looks = [line for line in done.stdout.splitlines() if line.startswith("heavy:")]
    return [line.split()[1:] for line in looks]


@pytest.mark.parametrize(
    ("module", "commands"),
    [
        ("loaders.cli", ("", "run", "status")),
        ("orchestration.cli", ("", "run", "status", "warehouse")),
    ],
)
def test_help_imports_nothing_heavy(module: str, commands: tuple[str, ...]) -> None:
    code = f"from {module} import app\n"
    for command in commands:
        arguments = [*command.split(), "--help"]
        code += f"with contextlib.suppress(SystemExit):\n    app({arguments!r})\nlook()\n"
    assert dict(zip(commands, heavy_after(code), strict=True)) == {name: [] for name in commands}


def test_the_python_package_imports_nothing_heavy() -> None:
    assert heavy_after("import quotemill\nlook()\nquotemill.open\nlook()\n") == [[], []]


def test_what_status_stands_on_is_light() -> None:
    modules = (
        "loaders.settings",
        "loaders.engine.jobs",
        "loaders.cli.jobs",
        "orchestration.checks.status",
    )
    code = "".join(f"import {module}\nlook()\n" for module in modules)
    assert dict(zip(modules, heavy_after(code), strict=True)) == {name: [] for name in modules}


def test_status_and_the_jobs_import_no_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUOTEMILL_HOME", str(tmp_path))
    monkeypatch.setenv("QUOTEMILL_TDX__BASE_URL", "http://127.0.0.1:9")
    monkeypatch.chdir(tmp_path)
    code = """
from loaders import sources
from loaders.settings import load_settings
from orchestration.cli import main
from orchestration.schedule import jobs
sys.argv = ["quotemill", "status"]
with contextlib.suppress(SystemExit):
    main()
look()
settings = load_settings()
known, wrong = jobs.survey(settings)
assert "tdx_daily" in known and not wrong
for name in sources.MODULES:
    sources.find_operations(name).stale_fix(settings, "")
look()
print("heavy:", *[name for name in sources.MODULES.values() if name in sys.modules])
"""
    assert heavy_after(code) == [[], [], []]


def test_the_first_page_of_the_console_imports_what_it_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    present = importlib.util.find_spec("fastapi") is not None
    require("console", present, "fastapi is not installed")
    monkeypatch.setenv("QUOTEMILL_HOME", str(tmp_path))
    monkeypatch.setenv("QUOTEMILL_TDX__BASE_URL", "http://127.0.0.1:9")
    code = """
import os
from pathlib import Path
from orchestration.cli import console as command
from orchestration.console import serve
from orchestration.console.app import create_app
from orchestration.console.context import Console
from orchestration.console.pages import overview
console = Console(Path(), os.environ, lambda: None, "2026-11-20T12:00+00:00")
create_app(console)
assert overview.gather(console)["status"].problems
for name in ("httpx", "rich", "yaml", "pandas", "dlt", "dbt", "apprise", "pandas_market_calendars",
             "orchestration.checks.warehouse", "orchestration.alerts.check"):
    if name in sys.modules:
        print("heavy:", name)
"""
    assert heavy_after(code) == []
