"""Check that the archive holds what was written, and nothing else."""

from collections.abc import Sequence

from loaders.engine.progress import Reporter
from loaders.files.folder import check_size
from orchestration.archive import content, ledger
from orchestration.archive import folder as folders
from orchestration.archive.folder import Damaged, Folder
from orchestration.archive.ledger import Partition
from orchestration.archive.store import Archive
from quotemill.errors import SettingsError


def find_damaged(archive: Archive, check: bool, reporter: Reporter) -> dict[str, Damaged]:
    """Files that are missing or of another size; with `check` also those with other contents.

    Raises SettingsError where no file is there: files written to an unmounted disk would be hidden
    by the mount.
    """
    folder = archive.folder
    with archive.warehouse.connect() as conn:
        files = ledger.list_files(conn, archive.schema)
        partitions = ledger.find_partitions(conn, archive.schema) if check else []
    by_path = ledger.group_by_path(partitions)
    with folder.usable():
        if files and not check and not any(folder.path(file.path).exists() for file in files):
            raise SettingsError(
                f"none of the {len(files):,} archive files is in {folder.root} ({folder.origin})",
                hint="Mount its disk, or set ib.archive_folder to its folder, or if it is "
                "lost, write what the warehouse still has with `quotemill archive --check`.",
            )
    if check:
        reporter.start("check", len(files))
    damaged = {}
    for file in files:
        try:
            check_size(folder.path(file.path), file.size_bytes, Damaged)
            if check:
                check_contents(folder, by_path.get(file.path, []))
        except Damaged as error:
            damaged[file.path] = error
            reporter.line(f"damaged: {error}")
        if check:
            reporter.advance("check", 1)
    return damaged


def find_unknown(archive: Archive) -> list[str]:
    """Files in the folder that the ledger does not list."""
    root = archive.folder.root
    with archive.warehouse.connect() as conn:
        known = {file.path for file in ledger.list_files(conn, archive.schema)}
    return sorted({str(p.relative_to(root)) for p in root.glob("view=*/**/*.parquet")} - known)


def check_contents(folder: Folder, partitions: Sequence[Partition]) -> None:
    """Read the file with these partitions, which are all it has, and compare. Raises Damaged."""
    if not partitions:
        return
    first, path = partitions[0], folder.path(partitions[0].path)
    check_size(path, first.size_bytes, Damaged)
    actual = folders.read_contents(path, None if first.is_compacted else first.place)
    if wrong := content.difference({p.place: p.content for p in partitions}, actual):
        raise Damaged(path, f"its contents for {wrong} are not those archived")
