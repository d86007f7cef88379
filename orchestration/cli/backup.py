"""`quotemill backup`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from loaders.cli import shell
from loaders.cli.shell import JsonFlag, ReplaceYes
from loaders.settings import load_settings
from loaders.trading_time import format_time
from quotemill.errors import UsageError

app = typer.Typer()
_Folder = Annotated[
    Path | None,
    typer.Option("--folder", help="Folder of the backups; by default backup_folder."),
]
_Name = Annotated[
    str | None, typer.Argument(help="Name of a backup, or its path; the newest if absent.")
]


@app.callback(invoke_without_command=True)
def backup_command(
    context: typer.Context,
    folder: _Folder = None,
    keep: Annotated[
        int | None,
        typer.Option(min=1, help="How many of this warehouse stay; by default backups_kept."),
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Write a backup, read it back, and delete the oldest.

    A backup is a folder with a dump of the warehouse, the settings without secrets and a list of
    the archive's files. It gets its name after it was read back whole; only then older ones are
    deleted.

    Example: quotemill backup --keep 8
    """
    if context.invoked_subcommand is not None:
        if folder or keep or json:
            raise UsageError(
                f"options go after {context.invoked_subcommand}",
                hint=f"quotemill backup {context.invoked_subcommand} --folder /backup",
            )
        return
    from loaders.cli.progress import reporter
    from loaders.warehouse.postgres import require_warehouse
    from orchestration.backup.folder import is_on_warehouse_disk
    from orchestration.backup.write import back_up
    from orchestration.run.metrics import measure_command

    settings = load_settings()
    shell.start_logs(settings)
    warehouse = require_warehouse(settings)
    with measure_command(settings, "backup") as figures, reporter() as shown:
        result = back_up(settings, warehouse, shown.line, folder=folder, keep=keep)
        figures |= {"bytes": result.backup.size_bytes, "kept_backups": result.remaining}
    if is_on_warehouse_disk(settings, result.backup.path):
        shell.print_wrapped(
            "warning: this backup is on the warehouse's own disk, whose loss would take both: "
            "let backup_folder name another disk",
            file=sys.stderr,
        )
    if json:
        shell.print_json(result.as_json())
        return
    size = result.backup.size_bytes / 1e6
    shell.print_wrapped(
        f"{result.backup.path}: {size:,.1f} MB, read back, in {result.seconds:.1f} s"
    )
    for name in result.removed:
        print(f"removed: {name}")


@app.command("list")
def list_command(folder: _Folder = None, json: JsonFlag = False) -> None:
    """List the backups, the oldest first.

    Example: quotemill backup list
    """
    from orchestration.backup import folder as folders

    root = folders.backup_root(load_settings(), folder)
    with folders.usable(root):
        backups, damaged = folders.scan(root)
    _warn(damaged)
    if json:
        shell.print_json([backup.as_json() for backup in backups])
        return
    for backup in backups:
        made = format_time(backup.made_at, timespec="minutes")
        size = f"{backup.size_bytes / 1e6:,.1f} MB"
        print(f"{backup.name}  {made}  {size}  {backup.manifest['warehouse']['label']}")
    if not backups:
        print(f"no backup in {root}", file=sys.stderr)


@app.command("check")
def check_command(name: _Name = None, folder: _Folder = None, json: JsonFlag = False) -> None:
    """Read a backup again from end to end.

    Exit code 1 where it differs from what was written.

    Example: quotemill backup check
    """
    from orchestration.backup import folder as folders

    root = folders.backup_root(load_settings(), folder)
    with folders.usable(root):
        _warn(folders.scan(root)[1] if name is None else [])
        backup = folders.find(root, name)
    folders.check(backup)
    if json:
        shell.print_json(backup.as_json())
    else:
        print(f"{backup.path}: {backup.size_bytes / 1e6:,.1f} MB, as they were written")


@app.command("restore")
def restore_command(
    name: _Name = None,
    folder: _Folder = None,
    yes: ReplaceYes = False,
    json: JsonFlag = False,
) -> None:
    """Restore the warehouse of a backup in one transaction; asks before it replaces anything.

    Every byte of the backup is read first. What it cannot restore is listed: secrets, files of the
    archive, ticks in QuestDB. `quotemill run` then loads the days since.

    Example: quotemill backup restore
    """
    from loaders.cli.progress import reporter
    from loaders.warehouse.postgres import open_warehouse
    from orchestration.backup import dump_restore as restores
    from orchestration.backup import folder as folders
    from orchestration.backup.restore import restore

    settings = load_settings()
    shell.start_logs(settings)
    root = folders.backup_root(settings, folder)
    with folders.usable(root):
        _warn(folders.scan(root)[1] if name is None else [])
        backup = folders.find(root, name)
    warehouse = open_warehouse(settings)
    print(f"backup: {backup.path}", file=sys.stderr)
    if not yes and sys.stdin.isatty():
        held = restores.count_occupied(warehouse, backup.path / folders.DUMP)
        question = f"{warehouse.label} holds {held} relations. Replace all of them by the backup?"
        yes = held > 0 and typer.confirm(question, abort=True, err=True)
    with reporter() as shown:
        result = restore(settings, warehouse, backup, shown, clean=yes)
    if json:
        shell.print_json(result.as_json())
        return
    made = format_time(backup.made_at, timespec="minutes")
    print(f"{result.objects} objects of {made} are back in {warehouse.label}")
    for line in result.left:
        print(f"left to do: {line}")
    print("next: quotemill run", file=sys.stderr)


def _warn(damaged: list[str]) -> None:
    for text in damaged:
        shell.print_wrapped(f"warning: {text}", file=sys.stderr)
