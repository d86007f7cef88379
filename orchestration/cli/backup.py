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
    typer.Option("--folder", help="Backup folder.", show_default="backup_folder"),
]
_Name = Annotated[
    str | None, typer.Argument(help="Name or path of a backup.", show_default="the newest")
]


@app.callback(invoke_without_command=True)
def backup_command(
    context: typer.Context,
    folder: _Folder = None,
    keep: Annotated[
        int | None,
        typer.Option(min=1, help="Backups of this warehouse to keep.", show_default="backups_kept"),
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Write and verify a backup, then delete old ones.

    A backup is a folder with a dump of the warehouse and the settings without secrets. It gets its
    name only after it has been verified. Only then are older backups deleted.

    Example: quotemill backup --keep 8
    """
    if context.invoked_subcommand is not None:
        if folder or keep or json:
            raise UsageError(
                f"options must follow {context.invoked_subcommand}",
                hint=f"Put them after it: `backup {context.invoked_subcommand} --folder /backup`.",
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
            "warning: this backup is on the same disk as the warehouse, so a disk failure loses "
            "both; fix: set backup_folder to another disk",
            file=sys.stderr,
        )
    if json:
        shell.print_json(result.as_json())
        return
    size = result.backup.size_bytes / 1e6
    shell.print_wrapped(
        f"{result.backup.path}: {size:,.1f} MB, verified, in {result.seconds:.1f} s"
    )
    for name in result.removed:
        print(f"removed: {name}")


@app.command("list")
def list_command(folder: _Folder = None, json: JsonFlag = False) -> None:
    """List the backups, oldest first.

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
        print(f"no backups in {root}", file=sys.stderr)


@app.command("check")
def check_command(name: _Name = None, folder: _Folder = None, json: JsonFlag = False) -> None:
    """Verify a backup by reading it again from end to end.

    Exits with 1 if it differs from what was written.

    Example: quotemill backup check
    """
    from orchestration.backup import folder as folders

    root = folders.backup_root(load_settings(), folder)
    with folders.usable(root):
        _warn(folders.scan(root)[1] if name is None else [])
        backup = folders.find(root, name)
    folders.check(backup)
    size = f"{backup.size_bytes / 1e6:,.1f} MB"
    shell.print_answer(backup.as_json(), json, lambda: print(f"{backup.path}: {size}, verified"))


@app.command("restore")
def restore_command(
    name: _Name = None,
    folder: _Folder = None,
    yes: ReplaceYes = False,
    json: JsonFlag = False,
) -> None:
    """Restore the warehouse from a backup, in one transaction.

    Verifies the whole backup first, and asks before it replaces anything. It lists what you must
    restore yourself: secrets, archive files and QuestDB ticks. Then run `quotemill run` to load the
    days since.

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
        question = f"{warehouse.label} holds {held} relations. Replace all of them with the backup?"
        yes = held > 0 and typer.confirm(question, abort=True, err=True)
    with reporter() as shown:
        result = restore(settings, warehouse, backup, shown, clean=yes)
    if json:
        shell.print_json(result.as_json())
        return
    made = format_time(backup.made_at, timespec="minutes")
    print(f"{result.objects} objects from {made} restored into {warehouse.label}")
    for line in result.left:
        print(f"left to do: {line}")
    print("next: run `quotemill run` to load the days since", file=sys.stderr)


def _warn(damaged: list[str]) -> None:
    for text in damaged:
        shell.print_wrapped(f"warning: {text}", file=sys.stderr)
