"""See that what was written is still there, and nothing else."""

from collections.abc import Sequence

from loaders.errors import SettingsError
from loaders.progress import Reporter
from loaders.warehouse.postgres import Warehouse
from orchestration.archive import content, ledger
from orchestration.archive import folder as folders
from orchestration.archive.folder import Damaged, Folder
from orchestration.archive.ledger import Partition


def damaged(
    warehouse: Warehouse, folder: Folder, schema: str, check: bool, reporter: Reporter
) -> dict[str, Damaged]:
    """Files that are gone or of another size; with `check` also those that give back something else.

    Raises SettingsError where none is there: what is written to a disk that is not mounted is lost with the mount.
    """
    with warehouse.connect() as conn:
        files = ledger.files(conn, schema)
        held: dict[str, list[Partition]] = {}
        for one in ledger.find(conn, schema) if check else ():
            held.setdefault(one.path, []).append(one)
    with folder.usable():
        if files and not check and not any(folder.path(file.path).exists() for file in files):
            raise SettingsError(
                f"none of the {len(files):,} files of the archive is in {folder.root} ({folder.origin})",
                hint="is its disk mounted, was it moved? Where it is lost, quotemill archive --check writes anew "
                "what the warehouse has",
            )
    if check:
        reporter.start("check", len(files))
    found = {}
    for file in files:
        try:
            folders.check_size(folder.path(file.path), file.size_bytes)
            if check:
                check_contents(folder, held.get(file.path, []))
        except Damaged as error:
            found[file.path] = error
            reporter.line(f"damaged: {error}")
        if check:
            reporter.advance("check", 1)
    return found


def unknown(warehouse: Warehouse, folder: Folder, schema: str) -> list[str]:
    """Files in the folder that the ledger does not know."""
    with warehouse.connect() as conn:
        known = {file.path for file in ledger.files(conn, schema)}
    found = (path.relative_to(folder.root) for path in folder.root.glob("view=*/**/*.parquet"))
    return sorted(name for name in map(str, found) if name not in known)


def check_contents(folder: Folder, held: Sequence[Partition]) -> None:
    """Read a file, whose partitions are `held`, and compare. Raises Damaged."""
    if not held:
        return
    path = folder.path(held[0].path)
    folders.check_size(path, held[0].size_bytes)
    found = folders.contents_of(path, None if held[0].is_compacted else held[0].place)
    if wrong := content.difference({p.place: p.content for p in held}, found):
        raise Damaged(path, f"it does not give back {' '.join(map(str, wrong[0]))} as archived")
