"""Puts the files where the system looks for them, in place of those of an earlier install."""

import os
import re
import shlex
import subprocess
from pathlib import Path

from loaders.files import whole_file
from orchestration.schedule.install import cron, launchd, systemd
from orchestration.schedule.install.place import MARK, Place
from quotemill.errors import SettingsError
from quotemill.systems import is_root

# of cronie, Debian's and macOS's, and of BusyBox
_NO_CRONTAB = re.compile("no crontab|can't open '.*': No such file")


def systemd_folder() -> Path:
    """Where units of this user are: the system's for root."""
    if is_root():
        return Path("/etc/systemd/system")
    base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "systemd" / "user"


def systemd_text(here: Place) -> str:
    """The unit as this user's systemd takes it."""
    return systemd.unit(here, is_system=is_root())


def systemd_unit(here: Place, folder: Path) -> Path:
    """Write the unit. Refuses a file of its name that no install wrote."""
    path = folder / systemd.UNIT
    if path.exists() and MARK not in path.read_text("utf-8", "replace"):
        raise SettingsError(
            f"{path} was not written by `quotemill schedule install`", hint="Rename or remove it."
        )
    write(path, systemd_text(here).encode())
    return path


def launchd_agent(agent: bytes, folder: Path | None) -> Path:
    path = agent_path(folder)
    if path.exists():
        refuse_foreign_agent(path, agent)
    write(path, agent)
    return path


def agent_path(folder: Path | None) -> Path:
    return (folder or Path.home() / "Library" / "LaunchAgents") / f"{launchd.LABEL}.plist"


def refuse_foreign_agent(path: Path, agent: bytes) -> None:
    """Raises SettingsError for a file that no install wrote, or one of another folder."""
    try:
        other = launchd.folder_of(path.read_bytes())
    except ValueError:
        raise SettingsError(
            f"{path} was not written by `quotemill schedule install`", hint="Rename or remove it."
        ) from None
    way_out = f"run launchctl bootout gui/$(id -u)/{launchd.LABEL}; rm {shlex.quote(str(path))}"
    refuse_another(str(path), other, launchd.folder_of(agent), way_out)


def crontab(block: str) -> None:
    """Put our lines into this user's crontab, which the program `crontab` checks.

    Raises SettingsError where the present crontab cannot be read: it would be lost.
    """
    write_crontab(cron.merged(read_crontab(block), block))


def read_crontab(block: str) -> str:
    """The present crontab. Raises SettingsError where it starts the jobs of another folder."""
    listed = _crontab("-l")
    if listed.returncode and not _NO_CRONTAB.search(listed.stderr):
        why = listed.stderr.strip() or f"exit code {listed.returncode}"
        raise SettingsError(f"crontab -l fails: {why}", hint="Fix that first: nothing was changed.")
    present = listed.stdout if listed.returncode == 0 else ""
    way_out = f"remove it with `crontab -e`: from {cron.BEGIN} to {cron.END}"
    refuse_another("the crontab", cron.folder_of(present), cron.folder_of(block), way_out)
    return present


def write_crontab(text: str) -> None:
    done = _crontab("-", text)
    if done.returncode:
        raise SettingsError(f"crontab refuses it: {done.stderr.strip()}")


def _crontab(option: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    """Bytes that are no UTF-8 go through as they are."""
    try:
        return subprocess.run(
            ["crontab", option],
            input=text,
            capture_output=True,
            env=os.environ | {"LC_ALL": "C"},
            encoding="utf-8",
            errors="surrogateescape",
        )
    except OSError as error:  # not there, or not for this user
        raise SettingsError(
            f"cannot run the program `crontab`: {error.strerror}",
            hint="Install cron, or use --systemd.",
        ) from None


def refuse_another(what: str, other: str | None, here: str | None, way_out: str) -> None:
    """Refuse the install of another folder: only its own may be replaced or removed."""
    if other is not None and other != here:
        raise SettingsError(
            f"{what} starts the jobs of {other}, which would no longer run",
            hint=f"{way_out}, or start the jobs of {here} with `quotemill schedule serve`",
        )


def write(path: Path, content: bytes) -> None:
    """A file whole or not at all. Raises SettingsError where it cannot be written."""
    part = path.with_name(f".{path.name}.new")
    with whole_file.explain_unwritable(path, hint="Choose another folder with --folder."):
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(content)
        part.replace(path)
