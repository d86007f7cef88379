"""Replace files by others: all of them or, after a crash, at the next run.

New files lie under their unfinished names and were read back; the plan is committed; then old files
are removed, new ones renamed, and the ledger updated. Cut short anywhere, a reader of the folder
may miss rows until the next run finishes the plan, and never reads a row twice.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from psycopg.types.json import Jsonb

from loaders.warehouse.postgres import Warehouse
from orchestration.archive import folder as folders
from orchestration.archive import ledger
from orchestration.archive.content import Content
from orchestration.archive.folder import Damaged, Folder
from orchestration.archive.ledger import File
from orchestration.archive.rows import Place


@dataclass(frozen=True)
class New:
    """A file under its unfinished name, and its contents by partition."""

    file: File
    contents: Mapping[Place, Content]


def replace_files(
    warehouse: Warehouse, folder: Folder, schema: str, old: Iterable[str], new: Iterable[New]
) -> None:
    """Replace the files `old` (paths relative to the folder) by `new`."""
    new = list(new)
    with folder.usable():
        folders.sync([folders.unfinished(folder.path(one.file.path)) for one in new])
    added = {one.file.path for one in new}
    plan = {
        "remove": sorted(set(old) - added),
        "add": [
            {
                "file": asdict(one.file),
                "places": [[str(d), u, e, c.rows, c.hash] for (d, u, e), c in one.contents.items()],
            }
            for one in new
        ],
    }
    with warehouse.connect() as conn:
        [(number,)] = conn.execute(
            "insert into ops.archive_swaps (schema_name, plan) values (%s, %s) returning swap_id",
            (schema, Jsonb(plan)),
        )
    _carry_out(warehouse, folder, schema, number, plan)


def finish_started(warehouse: Warehouse, folder: Folder, schema: str) -> int:
    """Finish plans that were cut short; return how many. Raises Damaged where a file is missing."""
    with warehouse.connect() as conn:
        started = conn.execute(
            "select swap_id, plan from ops.archive_swaps where schema_name = %s order by 1",
            (schema,),
        ).fetchall()
    for number, plan in started:
        _carry_out(warehouse, folder, schema, number, plan)
    return len(started)


def _carry_out(
    warehouse: Warehouse, folder: Folder, schema: str, number: int, plan: Mapping[str, Any]
) -> None:
    files = [File(**one["file"]) for one in plan["add"]]
    for file in files:
        path = folder.path(file.path)
        there = folders.unfinished(path)
        try:
            folders.check_size(there if there.exists() else path, file.size_bytes)
        except Damaged as error:
            raise Damaged(path, f"cut short while files were replaced, and {error}") from None
    with folder.usable():
        for name in plan["remove"]:
            folders.remove(folder.path(name), folder.root)
        for path in (folder.path(file.path) for file in files):
            # its rows may be in another new file
            if folders.unfinished(path).exists():
                path.unlink(missing_ok=True)
        folders.rename_all([folder.path(file.path) for file in files], folder.root)
    with warehouse.connect() as conn:
        for file, one in zip(files, plan["add"], strict=True):
            ledger.record(conn, schema, file, map(_parse_place, one["places"]))
        ledger.delete_files(conn, schema, plan["remove"])
        conn.execute("delete from ops.archive_swaps where swap_id = %s", (number,))


def _parse_place(place: list[Any]) -> tuple[Place, Content]:
    day, underlying, exchange, rows, content_hash = place
    return (date.fromisoformat(day), underlying, exchange), Content.parse(rows, content_hash)
