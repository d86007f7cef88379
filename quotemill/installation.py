"""How this quotemill was installed: what installs more of it, and its command."""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from quotemill.errors import QuotemillError, SettingsError, UpstreamError


def run_command(arguments: Sequence[str], home: Path) -> str:
    """Run a `quotemill` command of a home; return its output. Raises its error with its hint.

    The command of this installation, whatever packages the working directory has.
    """
    environment = os.environ | {"QUOTEMILL_HOME": str(home)}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(
        [find_command(), *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 0:
        return done.stdout
    kinds: dict[int, type[QuotemillError]] = {SettingsError.exit_code: SettingsError}
    message, _, hint = done.stderr.strip().removeprefix("error: ").partition("\nfix: ")
    asked = f"quotemill {shlex.join(arguments)}"
    raise kinds.get(done.returncode, UpstreamError)(message or f"{asked} failed", hint=hint)


def find_command() -> str:
    """The program `quotemill` beside this Python, else on PATH. Raises SettingsError."""
    beside = shutil.which("quotemill", path=str(Path(sys.executable).parent))
    program = beside or shutil.which("quotemill")
    if program is None:
        raise SettingsError("the quotemill command is not installed", hint=install_hint())
    return program


def has_commands() -> bool:
    """Whether more is installed than what reads: the extra `load`."""
    return find_spec("typer") is not None


def install_hint(extra: str = "") -> str:
    """The command that installs quotemill: from its clone with every extra, else from a wheel.

    In the environment that runs this, also if it seems up to date there.
    """
    clone = Path(__file__).resolve().parent.parent
    if (clone / "pyproject.toml").is_file() and (clone / "Makefile").is_file():
        is_own = sys.prefix not in (sys.base_prefix, str(clone / ".venv"))
        where = f" VENV={shlex.quote(sys.prefix)}" if is_own else ""
        return f"make -B install{where}, in {clone}"
    wheel = f"PATH/quotemill-{version('quotemill')}-py3-none-any.whl"
    return f"pip install '{wheel}[{extra}]'" if extra else f"pip install {wheel}"


def dbt_hint(extra: str) -> str:
    """The command that installs quotemill with dbt, and with which Python if not with this one."""
    if sys.version_info < (3, 14):
        return install_hint(extra)
    return f"Use Python 3.13, as dbt does not support 3.14 yet: {install_hint(extra)}"
