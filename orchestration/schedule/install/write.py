"""Puts the files where the system looks for them, in place of those of an earlier install."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from loaders.errors import SettingsError
from orchestration.schedule.install import cron, launchd
from orchestration.schedule.install.place import MARK
from orchestration.schedule.install.systemd import PREFIX


def systemd_folder() -> Path:
    """Where units of this user are: the system's for root."""
    if os.geteuid() == 0:
        return Path("/etc/systemd/system")
    base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "systemd" / "user"


def systemd_units(files: Mapping[str, str], folder: Path) -> list[Path]:
    """Write units, and remove those of jobs that there are no more: the names of these.

    Files of such a name that an install did not write are refused.
    """
    present = [path for kind in ("service", "timer") for path in folder.glob(f"{PREFIX}*.{kind}")]
    ours = {path for path in present if MARK in path.read_text("utf-8", "replace")}
    if foreign := [path for path in present if path.name in files and path not in ours]:
        raise SettingsError(
            f"{foreign[0]} was not written by an install", hint="rename or remove it"
        )
    for name, text in files.items():
        write(folder / name, text.encode())
    stale = sorted(path for path in ours if path.name not in files)
    for path in stale:
        path.unlink()
    return stale


def launchd_agent(agent: bytes, folder: Path | None) -> Path:
    path = (folder or Path.home() / "Library" / "LaunchAgents") / f"{launchd.LABEL}.plist"
    write(path, agent)
    return path


def crontab(block: str) -> None:
    """Put our lines into this user's crontab; the program `crontab` checks it as a whole."""
    try:
        listed = subprocess.run(["crontab", "-l"], capture_output=True, text=True)
        present = listed.stdout if listed.returncode == 0 else ""  # a user without one: 1
        merged = cron.merged(present, block)
        done = subprocess.run(["crontab", "-"], input=merged, capture_output=True, text=True)
    except FileNotFoundError:
        raise SettingsError(
            "there is no program `crontab`", hint="install cron, or take --systemd"
        ) from None
    if done.returncode:
        raise SettingsError(f"crontab refuses it: {done.stderr.strip()}")


def write(path: Path, content: bytes) -> None:
    """A file whole or not at all. Raises SettingsError where it cannot be written."""
    part = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(content)
        part.replace(path)
    except OSError as error:
        raise SettingsError(
            f"{path} cannot be written: {error.strerror}", hint="--folder names another folder"
        ) from None
