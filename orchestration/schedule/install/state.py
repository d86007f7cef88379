"""The installed schedule of this folder, and whether it is as an install would write it now."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from orchestration.schedule.install import cron, launchd, remove, systemd, write
from orchestration.schedule.install.place import Place
from quotemill.errors import SettingsError


@dataclass(frozen=True)
class Installed:
    """An install of this folder.

    kind: systemd, cron or launchd
    is_current: whether installing again would write the same
    command: what installs it again
    """

    kind: str
    is_current: bool
    command: str


def read_installed(here: Place) -> list[Installed]:
    """The installs of a folder."""
    return [
        Installed(kind, is_current, f"quotemill schedule install --{kind}")
        for kind, is_current in _compare(here)
    ]


def _compare(here: Place) -> Iterator[tuple[str, bool]]:
    with contextlib.suppress(SettingsError):  # units of another folder
        units = remove.own_units(here, write.systemd_folder())
        if units:
            texts = {path.name: path.read_text("utf-8", "replace") for path in units}
            yield "systemd", texts == {systemd.UNIT: write.systemd_text(here)}
    block = cron.block(here)
    with contextlib.suppress(SettingsError):  # no crontab here, or one of another folder
        present = write.read_crontab(block)
        if cron.folder_of(present) is not None:
            yield "cron", block in present
    agent, path = launchd.agent(here), write.agent_path(None)
    with contextlib.suppress(OSError, ValueError):
        installed = path.read_bytes()
        if launchd.folder_of(installed) == launchd.folder_of(agent):
            yield "launchd", installed == agent
