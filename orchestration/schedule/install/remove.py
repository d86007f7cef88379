"""Take away the files of an install of this folder, and no others."""

import subprocess
from collections.abc import Iterable
from pathlib import Path

from orchestration.schedule.install import cron, launchd, systemd, write
from orchestration.schedule.install.place import MARK, Place
from orchestration.schedule.install.systemd import PREFIX


def own_units(here: Place, folder: Path) -> list[Path]:
    """The units of this folder, also those of older versions: a service and a timer for each job.

    Raises SettingsError for those of another folder.
    """
    own = systemd.folder_of(write.systemd_text(here))
    units = [*folder.glob(f"{PREFIX}*.service"), *folder.glob(f"{PREFIX}*.timer")]
    texts = {path: path.read_text("utf-8", "replace") for path in sorted(units)}
    ours = {path: text for path, text in texts.items() if MARK in text}
    for path, text in ours.items():
        other = systemd.folder_of(text)
        way_out = f"run `quotemill schedule uninstall --systemd` in {other}"
        write.refuse_another(str(path), other, own, way_out)
    return list(ours)


def own_agent(here: Place, folder: Path | None) -> list[Path]:
    """The agent of this folder, or none. Raises SettingsError for that of another."""
    path = write.agent_path(folder)
    if not path.exists():
        return []
    write.refuse_foreign_agent(path, launchd.agent(here))
    return [path]


def remove_files(paths: Iterable[Path]) -> None:
    """Delete units or an agent."""
    for path in paths:
        # what `systemctl enable` made; a later install would start at boot by it
        for wants in path.parent.glob("*.target.wants"):
            (wants / path.name).unlink(missing_ok=True)
        path.unlink()


def succeeds(command: list[str]) -> bool:
    """Run a command of systemd or launchd; whether it is there and succeeds."""
    try:
        return subprocess.run(command, capture_output=True).returncode == 0
    except OSError:  # not there, or not for this user
        return False


def remove_cron_lines(here: Place) -> bool:
    """Take our lines out of the crontab; whether it had any. Raises SettingsError as an install."""
    present = write.read_crontab(cron.block(here))
    left = cron.merged(present, "")
    if left == present:
        return False
    write.write_crontab(left)
    return True
