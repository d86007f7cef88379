"""The installed schedule of this folder, and whether it still starts the jobs as they are now."""

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from orchestration.schedule.install import cron, launchd, systemd, write
from orchestration.schedule.install.place import MARK, Place
from orchestration.schedule.jobs import Job
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


def read_installed(jobs: Iterable[Job], here: Place, year: int) -> list[Installed]:
    """The installs of a folder; `year` gives the hours of sessions, as at an install."""
    return [
        Installed(kind, is_current, f"quotemill schedule install --{kind}")
        for kind, is_current in _compare(jobs, here, year)
    ]


def _compare(jobs: Iterable[Job], here: Place, year: int) -> Iterator[tuple[str, bool]]:
    wanted = systemd.units(jobs, here, year)
    folder = write.systemd_folder()
    paths = [p for kind in ("service", "timer") for p in folder.glob(f"{systemd.PREFIX}*.{kind}")]
    texts = {path.name: path.read_text("utf-8", "replace") for path in paths}
    ours = {name: text for name, text in texts.items() if MARK in text}
    folders = {systemd.folder_of(text) for text in ours.values()} - {None}
    if folders == {systemd.folder_of(wanted[systemd.ALERT])}:
        yield "systemd", ours == dict(wanted)
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
