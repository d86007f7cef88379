"""`import quotemill` beside folders of a user that are named as ours are."""

import ast
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from loaders.warehouse.embedded import server as embedded
from tests.conftest import ROOT

READ = """
import sys
import quotemill
with quotemill.open() as market:
    [(number,)] = market.sql("select 7 as n").to_arrow().to_pandas().itertuples(index=False)
ours = [name for name in sys.modules if name.partition(".")[0] in ("loaders", "orchestration")]
print(number, ours)
"""
POSIX_ONLY = {"fcntl", "grp", "pwd", "resource", "termios", "pty", "syslog"}


@pytest.mark.parametrize("is_killed", [False, True], ids=["stopped", "killed"])
def test_a_reader_beside_folders_of_our_names_starts_the_server(
    tmp_path: Path, empty_home: Path, is_killed: bool
) -> None:
    folder, home = tmp_path / "mine", empty_home
    (folder / "loaders").mkdir(parents=True)
    for name in ("loaders/__init__.py", "orchestration.py"):
        (folder / name).write_text("raise RuntimeError('the module of a user')\n")
    server = embedded.ensure_running(home)
    try:
        if is_killed:  # its postmaster.pid stays
            os.kill(server.pid, signal.SIGKILL)
        else:
            embedded.stop(home)
        (folder / "read.py").write_text(READ)
        environment = os.environ | {"QUOTEMILL_HOME": str(home), "PYTHONPATH": str(folder)}
        done = subprocess.run(
            [sys.executable, "read.py"], cwd=folder, env=environment, capture_output=True, text=True
        )
    finally:
        embedded.stop(home)
    assert (done.stdout, done.stderr) == ("7 []\n", "")


def test_reading_imports_no_module_that_windows_lacks() -> None:
    imported = set()
    for path in (ROOT / "quotemill").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module.partition(".")[0])
    assert imported & (POSIX_ONLY | {"loaders", "orchestration"}) == set()
    assert "psycopg" in imported
