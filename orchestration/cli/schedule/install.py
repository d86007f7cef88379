"""`quotemill schedule install` and `uninstall`."""

import os
import shlex
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from loaders.settings import Settings, load_settings
from loaders.warehouse.embedded.places import unusable
from loaders.warehouse.postgres import find_warehouse
from orchestration.cli.schedule.jobs import read_jobs, require_scheduler, warn_if_no_job
from orchestration.schedule import ledger
from orchestration.schedule.install import cron, launchd, place, remove, systemd, write
from orchestration.schedule.install.place import Place
from orchestration.schedule.jobs import survey
from orchestration.schedule.listing import list_names
from orchestration.schedule.switching import open_prepared
from quotemill.errors import UsageError
from quotemill.settings.files import find_files
from quotemill.systems import is_root

_CHOICE = "one of --cron, --systemd and --launchd is needed"


def install_command(
    for_cron: Annotated[
        bool, typer.Option("--cron", help="Add a line to this user's crontab.")
    ] = False,
    for_systemd: Annotated[
        bool, typer.Option("--systemd", help="Write a systemd service.")
    ] = False,
    for_launchd: Annotated[
        bool, typer.Option("--launchd", help="Write a launchd agent (macOS).")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the files without writing them.")
    ] = False,
    folder: Annotated[
        Path | None, typer.Option(help="Write the files here instead of the default location.")
    ] = None,
) -> None:
    """Install the schedule for this directory (systemd, cron or launchd).

    A service or agent keeps `quotemill schedule serve` running. The crontab line checks every
    minute. Both read the settings at each check. Run it again after the environment has moved.
    --systemd also removes the per-job units of older versions.

    Example: quotemill schedule install --systemd --dry-run
    """
    if (for_cron, for_systemd, for_launchd).count(True) != 1:
        raise UsageError(_CHOICE, hint="Give only --systemd, --cron or --launchd.")
    require_scheduler()
    if for_cron and folder:
        raise UsageError("--folder can't be combined with --cron", hint="Leave out --folder.")
    settings = load_settings()
    here = place.find(settings)
    if here.left_out:
        print(
            f"warning: a service does not get {', '.join(here.left_out)} from this shell; fix: set "
            f"them in {find_files(os.environ, here.folder).toml} or {here.folder / '.env'}",
            file=sys.stderr,
        )
    warn_if_no_job(list_names(settings))
    if not dry_run:
        _remember(settings, here.logs)
    if for_cron:
        _install_cron(here, dry_run)
    elif for_launchd:
        _install_launchd(here, folder, dry_run)
    else:
        _install_systemd(here, folder, dry_run)


def uninstall_command(
    for_cron: Annotated[bool, typer.Option("--cron", help="Remove the crontab line.")] = False,
    for_systemd: Annotated[bool, typer.Option("--systemd", help="Remove the service.")] = False,
    for_launchd: Annotated[
        bool, typer.Option("--launchd", help="Remove the agent (macOS).")
    ] = False,
    folder: Annotated[Path | None, typer.Option(help="Folder given to `install`, if any.")] = None,
) -> None:
    """Remove the schedule installed for this directory.

    Jobs are no longer expected to start, unless `quotemill schedule serve` or another machine still
    starts them.

    Example: quotemill schedule uninstall --systemd
    """
    if (for_cron, for_systemd, for_launchd).count(True) != 1:
        raise UsageError(_CHOICE, hint="Give only --systemd, --cron or --launchd.")
    require_scheduler()
    settings = load_settings()
    here = place.find(settings)
    removed: Sequence[str | Path]
    if for_cron:
        removed = ["removed from the crontab"] if remove.remove_cron_lines(here) else []
    elif for_launchd:
        stop = ["launchctl", "bootout", f"gui/{os.getuid()}/{launchd.LABEL}"]
        removed = _remove(remove.own_agent(here, folder), folder, [stop])
    else:
        units = remove.own_units(here, folder or write.systemd_folder())
        removed = _remove(units, folder, _stop_units(units))
    for name in removed:
        print(name)
    # in any case: a second call finds no files, and makes up for a warehouse that was away
    _withdraw(settings)
    if not removed:
        raise UsageError(
            f"no schedule is installed for {here.folder}",
            hint="Run this in the directory where you installed it.",
        )


def _remove(files: list[Path], folder: Path | None, commands: list[list[str]]) -> list[Path]:
    """Stop what the files start by the first command, delete them, then run the others.

    Stopped first: what still checks would write down the next starts again. Commands that fail, or
    would not mean `folder`, are printed.
    """
    first, *others = commands
    if files:
        is_done = folder is None and remove.succeeds(first)
        remove.remove_files(files)
        if not (is_done and all(map(remove.succeeds, others))):
            print(f"next: {'; '.join(map(shlex.join, commands))}", file=sys.stderr)
    return files


def _withdraw(settings: Settings) -> None:
    """Expect no further starts of the jobs; list jobs that another machine starts."""
    warehouse = find_warehouse(settings)
    if warehouse is None:
        return
    jobs, _ = survey(settings, warehouse.ask(ledger.read_rows))
    for row in warehouse.ask(lambda conn: ledger.withdraw_starts(conn, jobs)):
        print(
            f"{row.name} is still expected to start on {row.last_host}, which ran it last; "
            f"fix: if nothing starts it there, run `quotemill schedule disable {row.name}`",
            file=sys.stderr,
        )


def _install_cron(here: Place, dry_run: bool) -> None:
    lines = cron.block(here)
    if dry_run:
        print(lines, end="")
        return
    write.crontab(lines)
    print("run `crontab -l` to see it, `quotemill schedule list` to see its jobs", file=sys.stderr)


def _install_launchd(here: Place, folder: Path | None, dry_run: bool) -> None:
    agent = launchd.agent(here)
    if dry_run:
        print(agent.decode(), end="")
        return
    path = write.launchd_agent(agent, folder)
    print(path)
    print(f"next: launchctl bootstrap gui/$(id -u) {shlex.quote(str(path))}", file=sys.stderr)


def _install_systemd(here: Place, folder: Path | None, dry_run: bool) -> None:
    if dry_run:
        print(write.systemd_text(here), end="")
        return
    target = folder or write.systemd_folder()
    older = [path for path in remove.own_units(here, target) if path.name != systemd.UNIT]
    path = write.systemd_unit(here, target)
    for gone in _remove(older, folder, _stop_units(older)):
        print(f"removed: {gone}", file=sys.stderr)
    print(path)
    ctl = " ".join(_systemctl())
    print(f"next: {ctl} daemon-reload && {ctl} enable --now {systemd.UNIT}", file=sys.stderr)
    if not is_root():
        print("next: run `loginctl enable-linger` to keep it running after logout", file=sys.stderr)


def _systemctl() -> list[str]:
    return ["systemctl"] if is_root() else ["systemctl", "--user"]


def _stop_units(units: list[Path]) -> list[list[str]]:
    """The commands that end what units start. A service of one job ends with its run."""
    names = [path.name for path in units if path.suffix == ".timer" or path.name == systemd.UNIT]
    return [[*_systemctl(), "stop", *names], [*_systemctl(), "daemon-reload"]]


def _remember(settings: Settings, logs: Path) -> None:
    """Count starts from now on, if a warehouse exists: the first missed one is caught up too."""
    try:
        logs.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unusable(logs, error) from None
    if find_warehouse(settings) is not None:
        warehouse = open_prepared(settings)
        jobs, _ = read_jobs(settings)
        now = datetime.now(UTC)
        warehouse.ask(lambda conn: ledger.register_jobs(conn, jobs.values(), now))
